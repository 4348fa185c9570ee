"""The wallet: what is there, what is held, what came in and went out."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.services import ledger, statements
from marketplace.views.visitor import Visitor, signed_in

PAGE_SIZE = 50


@require_safe
@signed_in
def credits(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Balance and held for everybody in the account; the ledger for those who manage it."""
    account_id = visitor.account.pk
    entries = Paginator(statements.ledger(account_id=account_id), PAGE_SIZE) if visitor.can_manage else None
    context = {
        "section": "credits",
        "wallet": ledger.wallet_of(account_id),
        "promotional_nano": statements.promotional(account_id=account_id),
        "page": entries and entries.get_page(request.GET.get("page")),
        "can_manage": visitor.can_manage,
    }
    return render(request, "billing/credits.html", context)
