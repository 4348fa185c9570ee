"""The wallet: what is there, what is held, what came in and went out; buying credit and giving it back."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from billing.forms import AutoTopUpForm, TopUpForm, cents
from billing.gateways.stripe import transport
from billing.models import AutoTopUp, Customer, TopUp
from billing.services import auto_topups, ledger, metered, refunds, statements, topups
from billing.services import credits as promotions
from billing.views.request_pages import page_of
from marketplace.lib.errors import AppError, InvalidRequest, Unavailable, Unprocessable
from marketplace.lib.money import NANO, NANO_PER_CENT, format_usd
from marketplace.middleware import policy
from marketplace.views import snippets
from marketplace.views.visitor import Visitor, signed_in

PAGE_SIZE = 50
MOST_CSV_ROWS = 100_000
TOPUPS_SHOWN = 20
# Where a payment goes on in the browser.
STRIPE_PAGES = ("https://checkout.stripe.com", "https://hooks.stripe.com")


@require_safe
@signed_in
def credits(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Balance and held for everybody in the account; payments and the ledger for those who manage it."""
    if request.GET.get("topup") == "done":
        messages.info(request, "Thank you. The credit appears here as soon as the payment is confirmed.")
    if request.GET.get("card") == "done":
        messages.info(request, "Thank you. Invoices are charged to the card as soon as Stripe has confirmed it.")
    return _page(request, visitor)


@require_POST
@signed_in
def topup(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Buy credit: on to Stripe's page."""
    visitor.require_manager()
    form = TopUpForm(request.POST)
    if not form.is_valid():
        return _page(request, visitor, topup_form=form)
    page = snippets.site_url(request) + reverse("credits")
    try:
        started = topups.start(
            account=visitor.account,
            user=visitor.user,
            amount_cents=cents(form.cleaned_data["amount"]),
            success_url=f"{page}?topup=done",
            cancel_url=page,
        )
    except (InvalidRequest, Unavailable) as error:
        form.add_error("amount", error.message)
        return _page(request, visitor, topup_form=form)
    return redirect(started.url)


@require_POST
@signed_in
def automatic(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Set the automatic top-up."""
    visitor.require_manager()
    form = AutoTopUpForm(request.POST)
    if form.is_valid():
        try:
            auto_topups.configure(account=visitor.account, **form.asked())
        except InvalidRequest as error:
            form.add_error(None, error.message)
    if form.errors:
        return _page(request, visitor, auto_form=form)
    messages.success(request, f"Automatic top-up is {'on' if form.cleaned_data['is_enabled'] else 'off'}.")
    return redirect("credits")


@require_POST
@signed_in
def card(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Save a card for invoices: on to Stripe's page."""
    visitor.require_manager()
    page = snippets.site_url(request) + reverse("credits")
    try:
        url = topups.save_card(
            account=visitor.account, user=visitor.user, success_url=f"{page}?card=done", cancel_url=page
        )
    except Unavailable as error:
        messages.error(request, error.message)
        return redirect("credits")
    return redirect(url)


@require_POST
@signed_in
def finish(request: HttpRequest, visitor: Visitor, topup_id: UUID) -> HttpResponse:
    """Confirm a payment at the bank."""
    found = topups.find(account_id=visitor.account.pk, topup_id=topup_id)
    visitor.require_manager()
    url = topups.finish_on_session(topup=found, return_url=snippets.site_url(request) + reverse("credits"))
    return redirect(url)


@require_POST
@signed_in
def refund(request: HttpRequest, visitor: Visitor, topup_id: UUID) -> HttpResponse:
    """Send what is unused of a top-up back to its card."""
    found = topups.find(account_id=visitor.account.pk, topup_id=topup_id)
    visitor.require_manager()
    try:
        made = refunds.ask(topup=found, amount_cents=refunds.refundable_cents(found))
    except AppError as error:
        messages.error(request, error.message)
    else:
        amount = format_usd(made.total_cents * NANO_PER_CENT)
        messages.success(request, f"${amount} is on its way back to the card; banks take some days.")
    return redirect("credits")


@require_safe
@signed_in
def ledger_csv(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The wallet's history as a file, narrowed as the page is. Raises Unprocessable beyond MOST_CSV_ROWS."""
    visitor.require_manager()
    rows = statements.ledger(account_id=visitor.account.pk, what=request.GET.get("what", ""))
    if rows[MOST_CSV_ROWS : MOST_CSV_ROWS + 1].exists():
        raise Unprocessable(f"A file holds at most {MOST_CSV_ROWS:,} rows: narrow it, or use the statements.")
    text = io.StringIO()
    csv.writer(text).writerows(statements.ledger_csv(rows.iterator(chunk_size=2000)))
    headers = {"Content-Disposition": f'attachment; filename="turnpike-credits-{visitor.account.slug}.csv"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _page(request: HttpRequest, visitor: Visitor, **forms: Any) -> HttpResponse:
    account_id = visitor.account.pk
    wallet = ledger.wallet_of(account_id)
    what = request.GET.get("what", "")
    rows = statements.ledger(account_id=account_id, what=what)
    before = request.GET.get("before", "")
    entries, after = statements.ledger_page(rows, before=before, size=PAGE_SIZE) if visitor.can_manage else ([], "")
    context = {
        "section": "credits",
        "wallet": wallet,
        "promotional_nano": promotions.promotional_left(account_id=account_id),
        "gifts": promotions.gifts(account_id=account_id),
        "entries": [(one, page_of(*one.transaction.reference.partition(":")[::2])) for one in entries],
        "after": after,
        "is_later": bool(before),
        "what": what if what in statements.MOVES else "",
        "moves": [(name, title) for name, (title, _) in statements.MOVES.items()],
        "can_manage": visitor.can_manage,
        "payments_on": transport.is_on(),
        "standing": metered.standing(account_id=account_id) if visitor.can_manage else None,
        "is_metered": wallet.credit_limit_nano > 0,
        "invoice_days": settings.STRIPE_INVOICE_DAYS,
        **(_payments(visitor) if visitor.can_manage else {}),
        **forms,
    }
    response = render(request, "billing/credits.html", context, status=422 if forms else 200)
    response.headers["Content-Security-Policy"] = policy(*STRIPE_PAGES)
    return response


def _payments(visitor: Visitor) -> dict[str, Any]:
    """Top-ups, the saved card and the forms."""
    rows = TopUp.objects.for_account(visitor.account.pk).order_by("-created_at")[:TOPUPS_SHOWN]
    rule = AutoTopUp.objects.filter(account=visitor.account).first()
    return {
        "topups": [
            {
                "topup": row,
                "nano": row.amount_cents * NANO_PER_CENT,
                "fee_nano": row.fee_cents * NANO_PER_CENT,
                "tax_nano": row.tax_cents * NANO_PER_CENT,
                "refunded_nano": row.refunded_cents * NANO_PER_CENT,
                "refundable_nano": refunds.refundable_cents(row) * NANO_PER_CENT,
            }
            for row in rows
        ],
        "card": Customer.objects.filter(account=visitor.account).values_list("card", flat=True).first(),
        "rule": rule,
        "topup_form": TopUpForm(initial={"amount": Decimal(20)}),
        "auto_form": AutoTopUpForm(initial=_told(rule)),
        "fee": " ".join(filter(None, (topups.fee_text(), topups.tax_text()))),
    }


def _told(rule: AutoTopUp | None) -> dict[str, Any]:
    if rule is None:
        return {"threshold": Decimal(5), "amount": Decimal(20), "monthly_cap": Decimal(100)}
    return {
        "is_enabled": rule.is_enabled,
        "threshold": Decimal(rule.threshold_nano) / NANO,
        "amount": Decimal(rule.amount_cents) / 100,
        "monthly_cap": Decimal(rule.monthly_cap_cents) / 100,
    }
