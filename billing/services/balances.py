"""Balances of providers, publishers and the house: sums of entries, carried forward in the background.

No request updates them. `advance` adds what was booked since the last time and moves the mark; reading adds
the entries beyond the mark, so that a balance is exact at any moment however long the clock stood still.
"""

from __future__ import annotations

from django.db import OperationalError, connection, transaction
from django.db.models import F, Max, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from billing.models import Balance, Cursor, Entry, LedgerAccount

CURSOR = "balances"
# How long `advance` waits for running bookings, which wait behind it meanwhile.
_PATIENCE = "500ms"


def of(*, kind: str, owner_id: int | None = None) -> int:
    """The balance of one ledger account in nano-USD, exact as of this statement."""
    mark = Coalesce(Subquery(Cursor.objects.filter(name=CURSOR).values("position")[:1]), 0)
    beyond = (
        Entry.objects.filter(ledger_account=OuterRef("pk"), pk__gt=mark)
        .order_by()
        .values("ledger_account")
        .annotate(total=Sum("amount_nano"))
        .values("total")
    )
    rows = LedgerAccount.objects.filter(kind=kind).exclude(kind=LedgerAccount.Kind.WALLET)
    rows = rows.filter(account=None) if owner_id is None else rows.filter(account_id=owner_id)
    carried = Coalesce(F("balance__amount_nano"), 0)
    found = rows.annotate(total=carried + Coalesce(Subquery(beyond), 0)).values_list("total", flat=True).first()
    return int(found or 0)


def advance() -> int:
    """Carry balances forward to what is booked by now; returns how many ledger accounts moved.

    Two at once are harmless: the second finds the mark moved and does nothing.
    """
    cursor, _ = Cursor.objects.get_or_create(name=CURSOR)
    mark = _settled_mark()
    if mark is None or mark <= cursor.position:
        return 0
    with transaction.atomic():
        if not Cursor.objects.filter(name=CURSOR, position=cursor.position).update(position=mark):
            return 0
        moved = (
            Entry.objects.filter(pk__gt=cursor.position, pk__lte=mark)
            .exclude(ledger_account__kind=LedgerAccount.Kind.WALLET)
            .order_by("ledger_account")
            .values_list("ledger_account")
            .annotate(total=Sum("amount_nano"))
        )
        count = 0
        for ledger_account_id, total in moved:
            Balance.objects.get_or_create(ledger_account_id=ledger_account_id)
            Balance.objects.filter(pk=ledger_account_id).update(amount_nano=F("amount_nano") + total)
            count += 1
    return count


def _settled_mark() -> int | None:
    """The highest entry below which none can appear any more; None when bookings run for too long right now.

    Numbers are given out before transactions commit, so the highest that can be seen is not enough. A SHARE
    lock waits until whoever has taken a number has committed, and is let go at once.
    """
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
                    cursor.execute(f"LOCK TABLE {Entry._meta.db_table} IN SHARE MODE")
            highest: int | None = Entry.objects.aggregate(highest=Max("pk"))["highest"]
            return highest
    except OperationalError:
        return None
