"""Guardrails' budgets: a row per guardrail, key or member, and period, drawn on by every hold that it binds."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import F, OuterRef, Subquery

from billing.models import Allowance, Hold
from billing.services import budgets
from marketplace.lib.errors import PaymentRequired
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey, Guardrail
from marketplace.services import guardrails


class AllowanceExceeded(PaymentRequired):
    """403: a guardrail's budget does not cover the amount to be held. Money is there; it may not be spent."""

    status = 403
    error_type = "permission_denied"

    def __init__(self, *, guardrail: Guardrail, needed_nano: int, left_nano: int) -> None:
        when = f"it resets {guardrail.limit_reset}" if guardrail.limit_reset else "it never resets"
        super().__init__(
            f"The budget of the guardrail {guardrail.name!r} is reached: the request needs up to "
            f"${format_usd(needed_nano)} held and ${format_usd(left_nano)} is left ({when}). "
            "Ask an admin of the account to raise it.",
            metadata={
                "limit_source": "guardrail",
                "guardrails": [guardrail.name],
                "interval": guardrail.limit_reset or "lifetime",
                "needed_usd": format_usd(needed_nano),
                "available_usd": format_usd(left_nano),
            },
        )


def binding(*, account_id: int, key_id: int | None, user_id: int | None = None) -> list[Allowance]:
    """The present rows of every guardrail's budget that binds a request; made when first needed."""
    rows = [
        row
        for row in guardrails.binding(account_id=account_id, key_id=key_id, user_id=user_id)
        if row.limit_nano is not None
    ]
    if not rows:
        return []
    now = budgets.database_now()
    if key_id is not None:
        user_id = ApiKey.objects.filter(pk=key_id).values_list("created_by_id", flat=True).first()
    found: list[Allowance] = []
    for row in rows:
        start = budgets.period_start(row.limit_reset, now)
        if key_id is not None and row.keys.filter(key_id=key_id).exists():
            found.append(Allowance.objects.get_or_create(guardrail=row, key_id=key_id, period_start=start)[0])
        if user_id is not None and row.members.filter(member__user_id=user_id).exists():
            found.append(Allowance.objects.get_or_create(guardrail=row, user_id=user_id, period_start=start)[0])
    # Rows are always changed in one order, so that two requests cannot wait for each other.
    return sorted(found, key=lambda one: one.pk)


def require(*, account_id: int, key_id: int | None, amount_nano: int) -> None:
    """Raise AllowanceExceeded when a guardrail's budget does not cover an amount."""
    for allowance in binding(account_id=account_id, key_id=key_id):
        left = _left(allowance)
        if left is not None and left < amount_nano:
            raise AllowanceExceeded(guardrail=allowance.guardrail, needed_nano=amount_nano, left_nano=left)


def draw(*, hold: Hold, allowances: Sequence[Allowance], amount_nano: int) -> None:
    """Hold an amount against each. Raises AllowanceExceeded; the caller's transaction undoes the rest."""
    for allowance in allowances:
        if not _draw(allowance, amount_nano):
            raise AllowanceExceeded(
                guardrail=allowance.guardrail, needed_nano=amount_nano, left_nano=_left(allowance) or 0
            )
    if allowances:
        hold.allowances.add(*allowances)


def draw_more(*, hold: Hold, amount_nano: int) -> None:
    """Hold more for a hold that has drawn before. Raises AllowanceExceeded."""
    draw(hold=hold, allowances=list(hold.allowances.order_by("pk")), amount_nano=amount_nano)


def give_back(*, hold_id: UUID, held_nano: int, spent_nano: int = 0) -> None:
    """End a draw: what was held is free again but for what was spent."""
    ids = list(Allowance.objects.filter(holds=hold_id).order_by("pk").values_list("pk", flat=True))
    for pk in ids:
        Allowance.objects.filter(pk=pk).update(
            held_nano=F("held_nano") - held_nano, spent_nano=F("spent_nano") + spent_nano
        )


def remaining(allowances: Sequence[Allowance]) -> int | None:
    """The least that any of them still covers, in nano-USD; None where none binds."""
    left = [nano for one in allowances if (nano := _left(one)) is not None]
    return min(left, default=None)


def _draw(allowance: Allowance, amount_nano: int) -> bool:
    # Compared with the guardrail's row inside the statement: a lowered budget bites at once.
    limit = Subquery(Guardrail.objects.filter(pk=OuterRef("guardrail_id")).values("limit_nano")[:1])
    rows = Allowance.objects.filter(pk=allowance.pk)
    fits = rows.annotate(limit=limit).filter(limit__gte=F("spent_nano") + F("held_nano") + amount_nano)
    unlimited = rows.filter(guardrail__limit_nano=None)
    change = {"held_nano": F("held_nano") + amount_nano}
    return bool(fits.update(**change) or unlimited.update(**change))


def _left(allowance: Allowance) -> int | None:
    now = Allowance.objects.select_related("guardrail").get(pk=allowance.pk)
    limit = now.guardrail.limit_nano
    return None if limit is None else max(0, limit - now.spent_nano - now.held_nano)
