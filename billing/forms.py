"""The forms of the money pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.utils import timezone

from billing.services import reports
from marketplace.lib.money import NANO
from marketplace.models import ApiKey, User

LIFETIMES = (
    ("", "Never"),
    ("1", "In a day"),
    ("7", "In a week"),
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In a year"),
)
SCOPES = (
    (ApiKey.Scope.INFERENCE, "Inference: call models and run predictions"),
    (ApiKey.Scope.MANAGEMENT, "Management: keys, credits and activity through the API"),
)


class KeyForm(forms.Form):
    """A new key."""

    name = forms.CharField(max_length=100, help_text="Where it is used, so that you know it on the usage page.")
    limit = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        max_digits=16,
        decimal_places=9,
        label="Spend limit, $",
        help_text="Requests beyond it are refused with 402.",
    )
    limit_reset = forms.ChoiceField(
        required=False,
        choices=[("", "Never"), ("daily", "Daily"), ("weekly", "Weekly, on Monday"), ("monthly", "Monthly")],
        label="Limit starts anew",
        help_text="At midnight UTC.",
    )
    lifetime = forms.ChoiceField(required=False, choices=LIFETIMES, label="Expires")
    scopes = forms.MultipleChoiceField(
        choices=SCOPES, initial=[ApiKey.Scope.INFERENCE], widget=forms.CheckboxSelectMultiple, label="May be used for"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limit"].widget.attrs |= {"step": "any", "inputmode": "decimal", "placeholder": "No limit"}
        self.fields["name"].widget.attrs |= {"autocomplete": "off", "placeholder": "my-app"}

    def asked(self) -> dict[str, Any]:
        """What keys.issue takes."""
        given = self.cleaned_data
        limit: Decimal | None = given["limit"]
        lifetime = given["lifetime"]
        return {
            "name": given["name"],
            "scopes": given["scopes"],
            "limit_nano": None if limit is None else int(limit * NANO),
            "limit_reset": given["limit_reset"],
            "expires_at": timezone.now() + dt.timedelta(days=int(lifetime)) if lifetime else None,
        }


def _dollars(label: str, *, help_text: str = "", least: str = "0") -> forms.DecimalField:
    field = forms.DecimalField(
        min_value=Decimal(least),
        max_value=Decimal(1_000_000),
        max_digits=9,
        decimal_places=2,
        label=f"{label}, $",
        help_text=help_text,
    )
    field.widget.attrs |= {"step": "0.01", "inputmode": "decimal"}
    return field


def cents(amount: Decimal) -> int:
    """Dollars with two places as cents."""
    return int(amount * 100)


class TopUpForm(forms.Form):
    """How much credit to buy."""

    amount = _dollars("Amount")


class AutoTopUpForm(forms.Form):
    """When to buy credit without being asked."""

    is_enabled = forms.BooleanField(required=False, label="Top up by itself from the saved card")
    threshold = _dollars("When free credit is below")
    amount = _dollars("Buy")
    monthly_cap = _dollars(
        "At most a month", help_text="With fees, before tax. Beyond it nothing is charged until next month."
    )

    def asked(self) -> dict[str, Any]:
        """What auto_topups.configure takes."""
        given = self.cleaned_data
        return {
            "is_enabled": given["is_enabled"],
            "threshold_nano": int(given["threshold"] * NANO),
            "amount_cents": cents(given["amount"]),
            "cap_cents": cents(given["monthly_cap"]),
        }


class ConnectForm(forms.Form):
    """Who is to be paid: Stripe asks for the rest."""

    country = forms.CharField(
        min_length=2, max_length=2, label="Country", help_text="Two letters, such as US: where you or your company are."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].widget.attrs |= {"autocomplete": "country", "autocapitalize": "characters", "size": "2"}


class InvoiceForm(forms.Form):
    """An invoice that was paid by bank."""

    invoice = forms.CharField(max_length=100, label="Invoice number")
    amount = _dollars("Paid")
    paid_on = forms.DateField(label="Paid on", widget=forms.DateInput(attrs={"type": "date"}))
    accept_difference = forms.BooleanField(
        required=False, label="Accept the difference", help_text="It is booked as a loss of ours, or as a gain."
    )

    def asked(self) -> dict[str, Any]:
        """What payables.record takes."""
        given = self.cleaned_data
        return {
            "invoice": given["invoice"],
            "invoice_cents": cents(given["amount"]),
            "paid_on": given["paid_on"],
            "accept_difference": given["accept_difference"],
        }


class AlertForm(forms.Form):
    """What an account is told of its money, and where."""

    low_balance = _dollars("When the balance is below", help_text="One alert until it is above again.", least="0.01")
    key_limits = forms.BooleanField(required=False, label="When a key has spent 80 % and 100 % of its limit")
    by_mail = forms.BooleanField(required=False, label="By mail to the owners and admins of this account")
    webhook_url = forms.CharField(
        required=False,
        max_length=2000,
        label="By webhook to",
        help_text="A signed POST, tried again for a day and a half until it is answered with a 2xx.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["low_balance"].required = False
        self.fields["low_balance"].widget.attrs["placeholder"] = "No alert"
        self.fields["webhook_url"].widget.attrs |= {
            "type": "url", "autocomplete": "off", "placeholder": "https://example.com/hooks/turnpike"
        }  # fmt: skip

    def asked(self) -> dict[str, Any]:
        """What alerts.choose takes."""
        given = self.cleaned_data
        low: Decimal | None = given["low_balance"]
        return {
            "low_balance_nano": None if low is None else int(low * NANO),
            "key_limits": given["key_limits"],
            "by_mail": given["by_mail"],
            "webhook_url": given["webhook_url"].strip(),
        }


class ThawForm(forms.Form):
    """Staff's decision on a frozen wallet."""

    reason = forms.CharField(max_length=300, help_text="Kept with your name.", widget=forms.Textarea(attrs={"rows": 3}))
    write_off = forms.BooleanField(
        required=False, label="Write the debt off", help_text="Books what the wallet owes as bad debt."
    )


class WriteOffForm(forms.Form):
    """Staff's decision on what is owed of an invoice."""

    reason = forms.CharField(max_length=300, help_text="Kept with your name.", widget=forms.Textarea(attrs={"rows": 3}))


class CreditLimitForm(forms.Form):
    """Staff's decision on how an account pays."""

    credit_limit = _dollars("Credit limit", help_text="How far below zero it may go; 0 is prepaid.")
    reason = forms.CharField(max_length=300, help_text="Kept with your name.", widget=forms.Textarea(attrs={"rows": 3}))

    def asked(self) -> dict[str, Any]:
        """What metered.decide takes."""
        given = self.cleaned_data
        return {"credit_limit_nano": int(given["credit_limit"] * NANO), "reason": given["reason"]}


class UsageFilter(forms.Form):
    """What the usage page shows; wrong values count as left out."""

    span = forms.ChoiceField(required=False, label="Time")
    part = forms.ChoiceField(required=False, label="Told apart by")
    model = forms.ChoiceField(required=False)
    key = forms.ChoiceField(required=False)
    member = forms.ChoiceField(required=False)
    kind = forms.ChoiceField(required=False, choices=[("", "All kinds"), *reports.KINDS.items()])

    def __init__(self, asked: Mapping[str, str], *, months: Iterable[dt.date], only_user_id: int | None) -> None:
        span = reports.span(asked.get("span", ""))
        part = asked.get("part", "")
        super().__init__({**asked, "span": span.name, "part": part if part in reports.PARTS else "model"})
        self._only_user_id = only_user_id
        named = [(f"{month:%Y-%m}", f"{month:%B %Y}") for month in months]
        if span.name not in {*reports.SPANS, *(name for name, _ in named)}:
            named.append((span.name, f"{span.since:%B %Y}"))
        self._choose("span", [*reports.SPANS.items(), *named])
        self._choose("part", reports.PARTS.items())
        if only_user_id is not None:
            del self.fields["member"]

    def offer(self, *, models: Iterable[str], keys: Iterable[ApiKey], members: Iterable[User]) -> None:
        """Say what there is to choose from; without a choice of members the field goes."""
        self._choose("model", [("", "All models"), *((one, one) for one in models)])
        named = [(str(key.pk), f"{key.name} ({key.label})") for key in keys]
        self._choose(
            "key", [("", "All keys"), (reports.PLAYGROUND, "Playground"), (reports.NO_KEY, "Without a key"), *named]
        )
        people = [(str(one.pk), one.email) for one in members]
        if "member" in self.fields and len(people) > 1:
            self._choose("member", [("", "All members"), *people])
        else:
            self.fields.pop("member", None)

    def wanted(self) -> reports.Wanted:
        """What was asked for, before there is anything to choose from."""
        key, member = self.data.get("key", ""), self.data.get("member", "")
        known = key in (reports.PLAYGROUND, reports.NO_KEY) or _is_number(key)
        return reports.Wanted(
            span=reports.span(self.data["span"]),
            part=self.data["part"],
            key=key if known else "",
            model=self.data.get("model", ""),
            user_id=int(member) if "member" in self.fields and _is_number(member) else self._only_user_id,
            kind=self.data.get("kind", "") if self.data.get("kind") in reports.KINDS else "",
        )

    def _choose(self, name: str, choices: Iterable[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = list(choices)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
