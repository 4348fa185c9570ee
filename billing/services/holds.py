"""Holds: money is set aside before anything is called, and each hold ends exactly once.

Rows are always changed in the order hold, parent, wallet, budget, allowances, so that two requests cannot wait for
each other. Every change is one conditional UPDATE whose row count is looked at; nothing is read first.

A carved hold is a part of its parent's money, moved: the wallet and the budget hold as much as before.
What a child does not use moves back to its parent, or is free when the parent has ended.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from billing import rating
from billing.models import Charge, Hold, LedgerAccount, Wallet
from billing.rating import Part, Rated
from billing.services import allowances, budgets, ledger
from marketplace.lib.errors import PaymentRequired
from marketplace.lib.money import format_usd
from marketplace.models import ApiKey


class ParentExhausted(PaymentRequired):
    """402: the hold to be carved from does not cover the amount, or has ended."""

    def __init__(self, *, needed_nano: int, left_nano: int) -> None:
        super().__init__(
            f"What was set aside for the whole does not cover this part: it needs up to ${format_usd(needed_nano)} "
            f"and ${format_usd(left_nano)} of the reservation is left. Ask for fewer or cheaper steps.",
            metadata={
                "limit_source": "parent",
                "needed_usd": format_usd(needed_nano),
                "available_usd": format_usd(left_nano),
            },
        )


class InsufficientCredit(PaymentRequired):
    """402: the wallet does not cover the amount to be held."""

    def __init__(self, *, needed_nano: int, free_nano: int) -> None:
        super().__init__(
            f"Not enough credit: this request needs up to ${format_usd(needed_nano)} held and "
            f"${format_usd(max(0, free_nano))} is free. Add credit, or ask for fewer tokens (max_tokens).",
            metadata={
                "limit_source": "wallet",
                "needed_usd": format_usd(needed_nano),
                "available_usd": format_usd(max(0, free_nano)),
            },
        )


class KeyLimitExceeded(PaymentRequired):
    """402: the key's spend limit does not cover the amount to be held."""

    def __init__(self, *, needed_nano: int, left_nano: int, reset: str) -> None:
        when = f"it resets {reset}" if reset else "it never resets"
        super().__init__(
            f"This key's spend limit is reached: the request needs up to ${format_usd(needed_nano)} held and "
            f"${format_usd(left_nano)} is left ({when}). Raise the limit on the keys page or use another key.",
            metadata={
                "limit_source": "key",
                "needed_usd": format_usd(needed_nano),
                "available_usd": format_usd(left_nano),
            },
        )


def affordable(*, account_id: int, key_id: int | None) -> int:
    """The most that could be held now, in nano-USD: the least of wallet, key and guardrails."""
    free = ledger.wallet_of(account_id).free_nano
    if key_id is None:
        return max(0, free)
    left = budgets.remaining(ApiKey.objects.get(pk=key_id))
    allowed = allowances.remaining(allowances.binding(account_id=account_id, key_id=key_id))
    return max(0, min(nano for nano in (free, left, allowed) if nano is not None))


@transaction.atomic
def place(
    *,
    account_id: int,
    key_id: int | None,
    amount_nano: int,
    kind: str,
    reference: str,
    expires_in: dt.timedelta,
    user_id: int | None = None,
) -> Hold:
    """Set money aside on the wallet, the key's limit and the guardrails' budgets, for one (kind, reference).

    `user_id` is who acts without a key, in the portal.
    Raises InsufficientCredit, KeyLimitExceeded or AllowanceExceeded, having held nothing.
    """
    wallet = ledger.wallet_of(account_id)
    if amount_nano < 0:
        raise ValueError("a hold is not negative")
    _draw_wallet(wallet, amount_nano)
    budget_id = _draw_key(key_id, amount_nano)
    hold = Hold.objects.create(
        wallet=wallet,
        key_id=key_id,
        user_id=user_id,
        budget_id=budget_id,
        kind=kind,
        reference=reference,
        amount_nano=amount_nano,
        expires_at=timezone.now() + expires_in,
    )
    binding = allowances.binding(account_id=account_id, key_id=key_id, user_id=user_id)
    allowances.draw(hold=hold, allowances=binding, amount_nano=amount_nano)
    return hold


@transaction.atomic
def carve(*, parent_id: UUID, amount_nano: int, kind: str, reference: str, expires_in: dt.timedelta) -> Hold:
    """Set a part of an open hold aside for one (kind, reference) of its own.

    Raises ParentExhausted, having moved nothing, when the parent has less left or has ended.
    """
    if amount_nano < 0:
        raise ValueError("a hold is not negative")
    if not _move_from_parent(parent_id, amount_nano):
        raise _exhausted(parent_id, amount_nano)
    parent = Hold.objects.get(pk=parent_id)
    child = Hold.objects.create(
        wallet_id=parent.wallet_id,
        key_id=parent.key_id,
        user_id=parent.user_id,
        budget_id=parent.budget_id,
        parent=parent,
        kind=kind,
        reference=reference,
        amount_nano=amount_nano,
        expires_at=timezone.now() + expires_in,
    )
    child.allowances.set(parent.allowances.all())  # what was drawn there moves with the money
    return child


@transaction.atomic
def extend(*, hold_id: UUID, amount_nano: int, expires_in: dt.timedelta) -> bool:
    """Add to an open hold and move its expiry; False when it has ended meanwhile. A child draws on its parent.

    Raises InsufficientCredit, KeyLimitExceeded, AllowanceExceeded or ParentExhausted, the hold being as it was.
    """
    changed = Hold.objects.filter(pk=hold_id, state=Hold.State.OPEN).update(
        amount_nano=F("amount_nano") + amount_nano, expires_at=timezone.now() + expires_in
    )
    if not changed:
        return False
    hold = Hold.objects.select_related("wallet").get(pk=hold_id)
    if hold.parent_id is not None:
        if not _move_from_parent(hold.parent_id, amount_nano):
            raise _exhausted(hold.parent_id, amount_nano)
        return True
    _draw_wallet(hold.wallet, amount_nano)
    _draw_budget(hold, amount_nano)
    allowances.draw_more(hold=hold, amount_nano=amount_nano)
    return True


@transaction.atomic
def settle(
    *,
    hold_id: UUID,
    rated: Rated,
    parts: Sequence[Part] = (),
    labels: Mapping[str, Any] | None = None,
    rest: str = rating.PLATFORM,
) -> Charge | None:
    """End a hold with a charge, cut into `parts` and the rest; None when it had ended already.

    The caller pays at most what is held plus what is free; anything beyond is booked as bad debt
    and the providers are still credited in full (contracts, Money 3).
    """
    if not _end(hold_id, Hold.State.SETTLED):
        return None
    hold = Hold.objects.select_related("wallet").get(pk=hold_id)
    drawn = hold.amount_nano + _draw_excess(hold, rated.amount_nano - hold.amount_nano)
    charged = min(rated.amount_nano, drawn)
    freed = drawn - _move_to_parent(hold, drawn - charged)
    Wallet.objects.filter(pk=hold.wallet_id).update(
        held_nano=F("held_nano") - freed, balance_nano=F("balance_nano") - charged
    )
    if hold.budget_id is not None:
        budgets.give_back(budget_id=hold.budget_id, held_nano=freed, spent_nano=charged)
    allowances.give_back(hold_id=hold_id, held_nano=freed, spent_nano=charged)
    return _book(hold, rated, charged, parts, labels or {}, rest)


@transaction.atomic
def release(*, hold_id: UUID) -> bool:
    """End a hold without a charge; False when it had ended already."""
    if not _end(hold_id, Hold.State.RELEASED):
        return False
    hold = Hold.objects.get(pk=hold_id)
    freed = hold.amount_nano - _move_to_parent(hold, hold.amount_nano)
    Wallet.objects.filter(pk=hold.wallet_id).update(held_nano=F("held_nano") - freed)
    if hold.budget_id is not None:
        budgets.give_back(budget_id=hold.budget_id, held_nano=freed)
    allowances.give_back(hold_id=hold_id, held_nano=freed)
    return True


def _end(hold_id: UUID, state: str) -> bool:
    ended = Hold.objects.filter(pk=hold_id, state=Hold.State.OPEN).update(state=state, ended_at=timezone.now())
    return bool(ended)


def _move_from_parent(parent_id: UUID, amount_nano: int) -> bool:
    moved = Hold.objects.filter(pk=parent_id, state=Hold.State.OPEN, amount_nano__gte=amount_nano).update(
        amount_nano=F("amount_nano") - amount_nano, carved_nano=F("carved_nano") + amount_nano
    )
    return bool(moved)


def _move_to_parent(child: Hold, amount_nano: int) -> int:
    """Give what an ended child did not use back to its parent; returns what was moved: nothing once that has ended."""
    if child.parent_id is None or amount_nano <= 0:
        return 0
    moved = Hold.objects.filter(pk=child.parent_id, state=Hold.State.OPEN).update(
        amount_nano=F("amount_nano") + amount_nano, carved_nano=F("carved_nano") - amount_nano
    )
    if not moved:
        return 0
    Hold.objects.filter(pk=child.pk).update(returned_nano=amount_nano)
    return amount_nano


def _exhausted(parent_id: UUID, amount_nano: int) -> ParentExhausted:
    left = Hold.objects.filter(pk=parent_id, state=Hold.State.OPEN).values_list("amount_nano", flat=True).first()
    return ParentExhausted(needed_nano=amount_nano, left_nano=left or 0)


def _draw_wallet(wallet: Wallet, amount_nano: int) -> None:
    covers = Q(balance_nano__gte=F("held_nano") + amount_nano - F("credit_limit_nano"))
    drawn = Wallet.objects.filter(covers, pk=wallet.pk, is_frozen=False).update(held_nano=F("held_nano") + amount_nano)
    if not drawn:
        wallet.refresh_from_db()
        if wallet.is_frozen:
            reason = f" {wallet.frozen_because}" if wallet.frozen_because else ""
            raise PaymentRequired(
                f"This wallet is frozen.{reason} See the credits page.", metadata={"limit_source": "wallet"}
            )
        raise InsufficientCredit(needed_nano=amount_nano, free_nano=wallet.free_nano)


def _draw_key(key_id: int | None, amount_nano: int) -> int | None:
    if key_id is None:
        return None
    key = ApiKey.objects.only("pk", "limit_nano", "limit_reset").get(pk=key_id)
    if key.limit_nano is None:
        return None
    budget = budgets.current(key)
    if not budgets.draw(budget_id=budget.pk, amount_nano=amount_nano):
        raise _limit_reached(key_id, amount_nano)
    return budget.pk


def _draw_budget(hold: Hold, amount_nano: int) -> None:
    if hold.budget_id is None or hold.key_id is None:
        return
    if not budgets.draw(budget_id=hold.budget_id, amount_nano=amount_nano):
        raise _limit_reached(hold.key_id, amount_nano)


def _limit_reached(key_id: int, amount_nano: int) -> KeyLimitExceeded:
    key = ApiKey.objects.get(pk=key_id)
    return KeyLimitExceeded(needed_nano=amount_nano, left_nano=budgets.remaining(key) or 0, reset=key.limit_reset)


def _draw_excess(hold: Hold, excess: int) -> int:
    """Draw what a charge needs beyond its hold, as far as money is free; returns what was drawn.

    A child's excess comes out of its parent, which was set aside for the whole.
    """
    if excess <= 0:
        return 0
    if hold.parent_id is not None:
        return _draw_excess_from_parent(hold, hold.parent_id, excess)
    for _ in range(3):
        hold.wallet.refresh_from_db()
        wanted = min(excess, hold.wallet.free_nano)
        if hold.budget_id is not None and hold.key is not None:
            left = budgets.remaining(hold.key)
            wanted = wanted if left is None else min(wanted, left)
        allowed = allowances.remaining(list(hold.allowances.all()))
        wanted = wanted if allowed is None else min(wanted, allowed)
        if wanted <= 0:
            return 0
        try:
            with transaction.atomic():
                _draw_wallet(hold.wallet, wanted)
                _draw_budget(hold, wanted)
                allowances.draw_more(hold=hold, amount_nano=wanted)
                return wanted
        except PaymentRequired:
            continue  # somebody else was faster: look again at what is free
    return 0


def _draw_excess_from_parent(child: Hold, parent_id: UUID, excess: int) -> int:
    for _ in range(3):
        left = Hold.objects.filter(pk=parent_id, state=Hold.State.OPEN).values_list("amount_nano", flat=True).first()
        wanted = min(excess, left or 0)
        if wanted <= 0:
            return 0
        if _move_from_parent(parent_id, wanted):
            Hold.objects.filter(pk=child.pk).update(amount_nano=F("amount_nano") + wanted)
            return wanted
    return 0


def _book(
    hold: Hold, rated: Rated, charged: int, parts: Sequence[Part], labels: Mapping[str, Any], rest: str
) -> Charge:
    bad_debt = rated.amount_nano - charged
    shares = rating.split(rated.amount_nano, parts, rest=rest)
    account_id = hold.wallet.account_id
    legs: list[ledger.Leg] = [(LedgerAccount.Kind.WALLET, account_id, -charged)]
    if bad_debt:
        legs.append((LedgerAccount.Kind.BAD_DEBT, None, -bad_debt))
    legs += [(share.kind, share.account_id, share.amount_nano) for share in shares if share.amount_nano]
    written = None
    if rated.amount_nano:
        written = ledger.post(kind="charge", reference=f"{hold.kind}:{hold.reference}", legs=legs)
    return Charge.objects.create(
        account_id=account_id,
        key_id=hold.key_id,
        kind=hold.kind,
        reference=hold.reference,
        transaction=written,
        amount_nano=charged,
        bad_debt_nano=bad_debt,
        quantities=rated.quantities,
        prices=rated.prices,
        shares=[asdict(share) for share in shares],
        labels=dict(labels) if hold.user_id is None else {**labels, "user": hold.user_id},
    )
