"""GET earnings: what the account's models and endpoints earned, by month, and one month line by line."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from ninja import Field, Path, Router, Schema

from billing.services import earnings
from marketplace.api.amounts import Dollars
from marketplace.api.management import KeyedRequest

router = Router()

MonthName = Annotated[str, Field(pattern="^2[0-9]{3}-(0[1-9]|1[0-2])$", examples=["2026-11"])]


class EarnedMonth(Schema):
    """A month: what was earned in it and what was paid."""

    month: str
    earned: Dollars
    paid: Dollars


class Earnings(Schema):
    """How the account stands now, and its months, the latest first."""

    owed: Dollars
    in_delay: Dollars
    reserved: Dollars
    ready: Dollars
    data: list[EarnedMonth]


class EarnedLine(Schema):
    """One model at one endpoint; hosted models have no provider and no endpoint."""

    model: str
    earned_as: Literal["royalty", "provider"]
    provider: str | None
    endpoint_id: str | None
    is_correction: bool
    requests: int
    callers_paid: Dollars
    earned: Dollars


class Settled(Schema):
    """A month in full: opening + earned - paid = closing, and the lines add up to what was earned."""

    month: str
    is_over: bool
    opening: Dollars
    earned: Dollars
    paid: Dollars
    closing: Dollars
    lines: list[EarnedLine]


class OneSettlement(Schema):
    """One month."""

    data: Settled


@router.get("/earnings", response=Earnings, summary="Earnings by month")
def list_earnings(request: KeyedRequest) -> dict[str, Any]:
    """What was earned and paid, and what of it is in delay, kept for disputes, or ready to be paid out."""
    account_id = request.auth.account_id
    now = earnings.standing(account_id=account_id)
    months = earnings.listed(account_id=account_id)
    return {
        "owed": now.owed_nano,
        "in_delay": now.in_delay_nano,
        "reserved": now.reserved_nano,
        "ready": now.ready_nano,
        "data": [{"month": f"{one.first:%Y-%m}", "earned": one.earned_nano, "paid": one.paid_nano} for one in months],
    }


@router.get("/earnings/{month}", response=OneSettlement, summary="One month's settlement")
def get_settlement(request: KeyedRequest, month: Path[MonthName]) -> dict[str, Any]:
    """A UTC month by model and endpoint, corrections in it; 404 for one in which nothing was earned."""
    first = dt.date.fromisoformat(f"{month}-01")
    found = earnings.settlement(account_id=request.auth.account_id, year=first.year, month=first.month)
    lines = [_written(line) for line in found.lines]
    lines += [_written(line) | {"is_correction": True} for line in found.corrections]
    return {
        "data": {
            "month": month,
            "is_over": found.is_over,
            "opening": found.opening_nano,
            "earned": found.earned_nano,
            "paid": found.paid_nano,
            "closing": found.closing_nano,
            "lines": lines,
        }
    }


def _written(line: earnings.Line) -> dict[str, Any]:
    return {
        "model": line.model,
        "earned_as": line.title.lower(),
        "provider": line.provider or None,
        "endpoint_id": str(line.endpoint) if line.endpoint else None,
        "is_correction": False,
        "requests": line.total.count,
        "callers_paid": line.total.gross_nano,
        "earned": line.total.amount_nano,
    }
