"""Correcting a charge: a new charge of the difference, of either sign. What is booked is never edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from billing import rating
from billing.models import Charge, LedgerAccount, Wallet
from billing.rating import Part, Rated
from billing.services import ledger
from marketplace.lib.errors import InvalidRequest

KIND = "correction"


def correct(
    *,
    charge_id: UUID,
    rated: Rated,
    parts: Sequence[Part] = (),
    reason: str,
    rest: str = rating.PLATFORM,
) -> Charge | None:
    """Book the difference between a charge and what it should have been; None when it was corrected before.

    `rated` and `parts` are the whole truth, as for `holds.settle`. More is taken as far as money is free, the
    rest is bad debt; less goes back to the wallet. Raises InvalidRequest for a correction of a correction.
    """
    charge = Charge.objects.get(pk=charge_id)
    if charge.corrects_id is not None:
        raise InvalidRequest("This charge is a correction itself: correct the original.")
    try:
        with transaction.atomic():
            return _book(charge, rated, parts, reason, rest)
    except IntegrityError:
        if charge.corrections.exists():
            return None
        raise


def _book(charge: Charge, rated: Rated, parts: Sequence[Part], reason: str, rest: str) -> Charge:
    before = charge.amount_nano + charge.bad_debt_nano
    difference = rated.amount_nano - before
    # What was never paid is not given back.
    overpaid = max(0, charge.amount_nano - rated.amount_nano)
    taken = _take(charge.account_id, difference) if difference > 0 else _take(charge.account_id, -overpaid)
    shares = _differences(charge.shares, [asdict(share) for share in rating.split(rated.amount_nano, parts, rest=rest)])
    reference = f"{charge.kind}:{charge.reference}"
    legs: list[ledger.Leg] = [
        (LedgerAccount.Kind.WALLET, charge.account_id, -taken),
        (LedgerAccount.Kind.BAD_DEBT, None, taken - difference),
        *((kind, owner, amount) for (kind, owner), amount in shares.items()),
    ]
    moves = any(amount for _, _, amount in legs)
    written = ledger.post(kind=KIND, reference=reference, legs=legs, memo=reason) if moves else None
    return Charge.objects.create(
        account_id=charge.account_id,
        key_id=charge.key_id,
        kind=KIND,
        reference=reference,
        corrects=charge,
        transaction=written,
        amount_nano=taken,
        bad_debt_nano=difference - taken,
        quantities=_less(rated.quantities, charge.quantities),
        prices=rated.prices,
        shares=[{"kind": kind, "account_id": owner, "amount_nano": amount} for (kind, owner), amount in shares.items()],
        labels=charge.labels | {"reason": reason},
    )


def _take(account_id: int, amount_nano: int) -> int:
    """Take from the wallet what is free of an amount; a negative one is given. Returns what was taken."""
    wallet = ledger.wallet_of(account_id)
    for _ in range(3):
        taken = amount_nano if amount_nano <= 0 else min(amount_nano, max(0, wallet.free_nano))
        rows = Wallet.objects.filter(pk=wallet.pk)
        if taken > 0:
            rows = rows.filter(balance_nano__gte=F("held_nano") + taken - F("credit_limit_nano"))
        if rows.update(balance_nano=F("balance_nano") - taken):
            return taken
        wallet.refresh_from_db()
    return 0


def _differences(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, int | None], int]:
    found: dict[tuple[str, int | None], int] = {}
    for sign, shares in ((-1, before), (1, after)):
        for share in shares:
            party = (share["kind"], share["account_id"])
            found[party] = found.get(party, 0) + sign * share["amount_nano"]
    return found


def _less(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    units = {**before, **after}
    return {unit: after.get(unit, 0) - before.get(unit, 0) for unit in units}
