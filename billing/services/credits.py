"""Promotional credit: given once per reference, used before bought credit, gone at its end."""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.utils import timezone

from billing import expiry
from billing.expiry import Gift
from billing.models import Charge, Grant, LedgerAccount, Transaction, Wallet
from billing.services import ledger
from marketplace.lib.errors import InvalidRequest


def grant(
    *,
    account_id: int,
    amount_nano: int,
    reference: str,
    memo: str = "Promotional credit",
    expires_at: dt.datetime | None = None,
) -> bool:
    """Give promotional credit, once per reference; False when it was given already.

    Raises InvalidRequest for an amount that is not positive, or an end that is past.
    """
    now = timezone.now()
    if amount_nano <= 0:
        raise InvalidRequest("A grant is more than zero dollars.")
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("A grant ends in the future.")
    ledger.wallet_of(account_id)
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.PROMOTIONAL_EXPENSE, None, -amount_nano),
        (LedgerAccount.Kind.WALLET, account_id, amount_nano),
    ]
    try:
        with transaction.atomic():
            ledger.post(kind="grant", reference=reference, legs=legs, memo=memo)
            ledger.credit(account_id=account_id, amount_nano=amount_nano)
            Grant.objects.create(
                account_id=account_id,
                reference=reference,
                amount_nano=amount_nano,
                granted_at=now,
                expires_at=expires_at,
            )
    except IntegrityError:
        if Transaction.objects.filter(kind="grant", reference=reference).exists():
            return False
        raise
    return True


def promotional_left(*, account_id: int, now: dt.datetime | None = None) -> int:
    """How much of what is in the wallet was a gift, in nano-USD."""
    now = now or timezone.now()
    rows = list(Grant.objects.for_account(account_id))
    unused = _left(account_id, rows, now)
    alive = sum(unused[row.pk] for row in rows if row.ended_at is None)
    return max(0, min(alive, ledger.wallet_of(account_id).balance_nano))


def gifts(*, account_id: int, now: dt.datetime | None = None) -> list[tuple[Grant, int]]:
    """The promotional credit that lasts, with what is left of each in nano-USD: the one that ends first comes first."""
    rows = list(Grant.objects.for_account(account_id))
    unused = _left(account_id, rows, now or timezone.now())
    alive = [(row, unused[row.pk]) for row in rows if row.ended_at is None and unused[row.pk] > 0]
    return sorted(alive, key=lambda gift: (gift[0].expires_at is None, gift[0].expires_at or gift[0].granted_at))


def expire(now: dt.datetime | None = None) -> int:
    """End the gifts whose time has come: what is unused of them leaves the wallet. Returns how many were ended.

    What running requests hold is left to them; the gift is then ended when they are done.
    """
    now = now or timezone.now()
    ended = 0
    for row in Grant.objects.filter(ended_at=None, expires_at__lte=now).order_by("expires_at", "pk"):
        ended += _end(row, now)
    return ended


@transaction.atomic
def _end(row: Grant, now: dt.datetime) -> bool:
    if not Grant.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now):
        return False
    assert row.expires_at is not None  # noqa: S101  chosen by it
    unused = _left(row.account_id, list(Grant.objects.for_account(row.account_id)), row.expires_at)[row.pk]
    # Requests that were running at the end have used it too.
    later = _spent(row.account_id, row.expires_at, now)
    amount = max(0, min(unused - later, ledger.wallet_of(row.account_id).balance_nano))
    if not amount:
        return True
    taken = Wallet.objects.filter(account_id=row.account_id, balance_nano__gte=F("held_nano") + amount).update(
        balance_nano=F("balance_nano") - amount
    )
    if not taken:
        Grant.objects.filter(pk=row.pk).update(ended_at=None)  # held by what runs: looked at again soon
        return False
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.WALLET, row.account_id, -amount),
        (LedgerAccount.Kind.PROMOTIONAL_EXPENSE, None, amount),
    ]
    ledger.post(kind="grant_expired", reference=row.reference, legs=legs, memo="Promotional credit expired")
    return True


def _left(account_id: int, rows: list[Grant], now: dt.datetime) -> dict[int, int]:
    gifts = [Gift(row.pk, row.amount_nano, row.granted_at, row.expires_at) for row in rows]
    return expiry.left(gifts, lambda since, until: _spent(account_id, since, until), now=now)


def _spent(account_id: int, since: dt.datetime, until: dt.datetime) -> int:
    rows = Charge.objects.for_account(account_id).filter(created_at__gte=since, created_at__lt=until)
    return int(rows.aggregate(total=Sum("amount_nano"))["total"] or 0)
