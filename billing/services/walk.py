"""The nightly walk: what Stripe's own lists say, against what reached us."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from billing.gateways.stripe import books
from billing.gateways.stripe.books import Movement
from billing.models import InboxEvent, LedgerAccount
from billing.services import balances, inbox, ledger, topups
from marketplace.lib.money import NANO_PER_CENT

# Lines of Stripe's books for what goes to the platform's own bank or comes from it.
BANK_LINES: Final = frozenset({"payout", "payout_cancel", "payout_failure", "topup", "topup_reversal"})


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk found."""

    events: int
    missed: int
    fees: int
    bank: int = 0


def walk(*, days: int = 3) -> Walked:
    """Apply events that never came or never worked, and book Stripe's fees of the last days."""
    since = int((timezone.now() - dt.timedelta(days=days)).timestamp())
    seen = missed = 0
    for event in books.events(since=since):
        seen += 1
        if not InboxEvent.objects.filter(pk=event["id"], is_done=True).exists():
            missed += inbox.receive(event)
    fees = bank = 0
    for line in books.movements(since=since):
        if line.type in {"charge", "payment"}:
            fees += topups.book_fee(movement_id=line.id, fee_cents=line.fee_cents)
        bank += book_bank(line)
    return Walked(seen, missed, fees, bank)


def book_bank(line: Movement) -> bool:
    """Book what the platform moved between Stripe and its own bank, and Stripe's fee for it, once."""
    if line.type not in BANK_LINES:
        return False
    legs = [
        (LedgerAccount.Kind.STRIPE_CLEARING, None, -line.net_cents * NANO_PER_CENT),
        (LedgerAccount.Kind.FEES, None, -line.fee_cents * NANO_PER_CENT),
        (LedgerAccount.Kind.BANK, None, line.amount_cents * NANO_PER_CENT),
    ]
    return ledger.post_once(kind="bank_transfer", reference=line.id, legs=legs, memo="Between Stripe and the bank")


def difference_cents() -> int:
    """What Stripe's books hold less what ours say that they hold; zero when all is well and told of."""
    theirs = sum(line.net_cents for line in books.movements(since=0))
    ours = -balances.of(kind=LedgerAccount.Kind.STRIPE_CLEARING)
    return theirs - ours // NANO_PER_CENT
