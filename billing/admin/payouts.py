"""Whom we pay, and what was paid: looked at, and let go on where something had paused it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.admin.shown import Shown
from billing.models import Payout, Recipient
from billing.services import earnings, payouts
from marketplace.lib.money import format_usd
from marketplace.lib.shown import dollars
from marketplace.models import User


class PausedFilter(admin.SimpleListFilter):
    """Those whose payouts something has paused, and whose bank has refused them."""

    title = "payouts"
    parameter_name = "payouts"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """In words."""
        return [("paused", "Paused"), ("refused", "Refused by a bank")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Recipient]) -> QuerySet[Recipient]:
        """The rows of one."""
        if self.value() == "paused":
            return queryset.exclude(paused_because="")
        return queryset.exclude(bank_error="") if self.value() == "refused" else queryset


@admin.register(Recipient)
class RecipientAdmin(Shown):
    """Whom Stripe pays for us; who may change recipients lets paused payouts go on."""

    list_display = [
        "account", "recipient_id", "is_active", "needs", "paused_because", "owed", "bank_error", "try_after"
    ]  # fmt: skip
    list_filter = [PausedFilter, "is_active"]
    search_fields = ["account__slug", "recipient_id"]
    list_select_related = ["account"]
    actions = ["go_on"]

    @admin.display(description="Ready")
    def owed(self, recipient: Recipient) -> str:
        """What would be paid out today, in dollars."""
        return f"${format_usd(max(0, earnings.ready(account_id=recipient.account_id)))}"

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered."""
        return isinstance(request.user, User) and request.user.has_perm("billing.change_recipient")

    @admin.action(description="Let paused payouts go on", permissions=["decide"])
    def go_on(self, request: HttpRequest, rows: QuerySet[Recipient]) -> None:
        """The next look is on the day that it would have been."""
        for recipient in rows.exclude(paused_because=""):
            self.log_change(request, recipient, f"Let payouts go on, which were paused: {recipient.paused_because}")
            payouts.go_on(recipient)
            messages.success(request, f"{recipient.account} is paid again.")


@admin.register(Payout)
class PayoutAdmin(Shown):
    """What was paid out, and what came back."""

    list_display = ["created_at", "account", "state", "amount", "returned", "transfer_id", "error"]
    list_filter = ["state"]
    search_fields = ["account__slug", "transfer_id"]
    list_select_related = ["account"]

    amount = dollars("amount_nano", "Amount")
    returned = dollars("returned_nano", "Taken back")
