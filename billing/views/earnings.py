"""Earnings of publishers and operators: how they stand, month by month, one month line by line and as a file."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.services import earnings as earned
from marketplace.views.visitor import Visitor, signed_in

DAYS: Final = 30


@require_safe
@signed_in
def earnings(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """What was earned and how much of it is still in delay; for those who manage the account, as its ledger is."""
    visitor.require_manager()
    account_id = visitor.account.pk
    days = earned.per_day(account_id=account_id, days=DAYS)
    context = {
        "section": "earnings",
        "standing": earned.standing(account_id=account_id),
        "months": earned.listed(account_id=account_id),
        "days": {"days": [day.isoformat() for day, _ in days], "nano": [str(nano) for _, nano in days]} if days else {},
        "shown_days": DAYS,
        **rules(),
    }
    return render(request, "billing/earnings.html", context)


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
    name = f"turnpike-earnings-{visitor.account.slug}-{found.first:%Y-%m}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text.getvalue(), "text/csv; charset=utf-8", headers=headers)


def rules() -> dict[str, Any]:
    """When earnings can be paid out, by setting."""
    return {
        "delay_days": settings.PAYOUT_DELAY_DAYS,
        "reserve_percent": settings.PAYOUT_RESERVE_PERCENT,
        "reserve_days": settings.PAYOUT_RESERVE_DAYS,
    }
