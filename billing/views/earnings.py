"""Earnings of publishers and operators: how they stand, month by month, one month line by line and as a file."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from billing import paper
from billing.forms import ConnectForm
from billing.gateways.stripe import transport
from billing.models import PaidInvoice, Payout, Recipient
from billing.services import earnings as earned
from billing.services import payouts
from marketplace.lib.errors import AppError
from marketplace.lib.money import NANO_PER_CENT
from marketplace.middleware import policy
from marketplace.models import Account
from marketplace.views import snippets
from marketplace.views.visitor import Visitor, signed_in

DAYS: Final = 30
PAYOUTS_SHOWN: Final = 20
# Where the form that connects an account goes on.
STRIPE_PAGE: Final = "https://connect.stripe.com"


@require_safe
@signed_in
def earnings(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """What was earned, how much of it is still in delay, and how it is paid; for those who manage the account."""
    visitor.require_manager()
    if request.GET.get("connect") == "done":
        _look_at_stripe(request, visitor)
    return _page(request, visitor)


@require_http_methods(["GET", "POST"])
@signed_in
def connect(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """On to Stripe, which asks who is to be paid; by GET when its page had run out and sends the browser back here."""
    visitor.require_manager()
    known = Recipient.objects.filter(account=visitor.account).first()
    if request.method == "GET" and known is None:
        return redirect("earnings")
    form = ConnectForm(request.POST or None)
    if known is None and not form.is_valid():
        return _page(request, visitor, connect_form=form)
    page = snippets.site_url(request)
    try:
        url = payouts.onboard(
            account=visitor.account,
            user=visitor.user,
            country=known.country if known else form.cleaned_data["country"],
            return_url=f"{page}{reverse('earnings')}?connect=done",
            refresh_url=f"{page}{reverse('earnings_connect')}",
        )
    except AppError as error:
        form.add_error("country" if known is None else None, error.message)
        return _page(request, visitor, connect_form=form)
    return redirect(url)


@require_safe
@signed_in
def settlement(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month by model and endpoint, to be compared with an invoice."""
    visitor.require_manager()
    found = earned.settlement(account_id=visitor.account.pk, year=year, month=month)
    context = {"section": "earnings", "month": found, "account": visitor.account}
    return render(request, "billing/settlement.html", context)


@require_safe
@signed_in
def settlement_csv(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month by day, for a spreadsheet."""
    visitor.require_manager()
    found = earned.settlement(account_id=visitor.account.pk, year=year, month=month)
    text = io.StringIO()
    csv.writer(text).writerows(earned.csv_rows(account_id=visitor.account.pk, month=found))
    return _file(text.getvalue(), "text/csv; charset=utf-8", visitor.account, found, "csv")


@require_safe
@signed_in
def settlement_pdf(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month for the files."""
    visitor.require_manager()
    found = earned.settlement(account_id=visitor.account.pk, year=year, month=month)
    return _file(paper.settlement(found, visitor.account), "application/pdf", visitor.account, found, "pdf")


def _file(content: str | bytes, kind: str, account: Account, found: earned.Settlement, ending: str) -> HttpResponse:
    name = f"turnpike-earnings-{account.slug}-{found.first:%Y-%m}.{ending}"
    return HttpResponse(content, kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _page(request: HttpRequest, visitor: Visitor, **forms: Any) -> HttpResponse:
    account_id = visitor.account.pk
    days = earned.per_day(account_id=account_id, days=DAYS)
    recipient = Recipient.objects.filter(account=visitor.account).first()
    history = Payout.objects.for_account(account_id).order_by("-created_at")[:PAYOUTS_SHOWN]
    context = {
        "section": "earnings",
        "standing": earned.standing(account_id=account_id),
        "months": earned.listed(account_id=account_id),
        "days": {"days": [day.isoformat() for day, _ in days], "nano": [str(nano) for _, nano in days]} if days else {},
        "shown_days": DAYS,
        "payouts_on": transport.is_on(),
        "recipient": recipient,
        "next": _next(recipient),
        "history": history,
        "invoices": PaidInvoice.objects.for_account(account_id).order_by("-paid_on", "-pk")[:PAYOUTS_SHOWN],
        "connect_form": ConnectForm(),
        "delay_days": settings.PAYOUT_DELAY_DAYS,
        "reserve_percent": settings.PAYOUT_RESERVE_PERCENT,
        "reserve_days": settings.PAYOUT_RESERVE_DAYS,
        "least_nano": int(settings.PAYOUT_MIN_CENTS) * NANO_PER_CENT,
        **forms,
    }
    response = render(request, "billing/earnings.html", context, status=422 if forms else 200)
    response.headers["Content-Security-Policy"] = policy(STRIPE_PAGE)
    return response


def _next(recipient: Recipient | None) -> dict[str, Any] | None:
    """The next payout's day and amount, for one who can be paid."""
    if recipient is None or not recipient.is_active or recipient.paused_because or not transport.is_on():
        return None
    found = payouts.next_one(recipient=recipient)
    return found and {"day": found[0], "nano": found[1] * NANO_PER_CENT}


def _look_at_stripe(request: HttpRequest, visitor: Visitor) -> None:
    """Ask at once how the recipient stands, who has just come back; the webhook may take a moment."""
    recipient = Recipient.objects.filter(account=visitor.account).first()
    if recipient is None:
        return
    try:
        payouts.refresh(recipient)
    except AppError as error:
        messages.warning(request, error.message)
