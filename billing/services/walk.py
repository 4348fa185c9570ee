"""The nightly walk: what Stripe's own lists say, against what reached us."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from billing.gateways.stripe import client as stripe
from billing.models import InboxEvent, LedgerAccount
from billing.services import balances, inbox, topups
from billing.services.topups import NANO_PER_CENT


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk found."""

    events: int
    missed: int
    fees: int


def walk(*, days: int = 3) -> Walked:
    """Apply events that never came or never worked, and book Stripe's fees of the last days."""
    since = int((timezone.now() - dt.timedelta(days=days)).timestamp())
    seen = missed = 0
    for event in stripe.events(since=since):
        seen += 1
        if not InboxEvent.objects.filter(pk=event["id"], is_done=True).exists():
            missed += inbox.receive(event)
    fees = sum(
        topups.book_fee(movement_id=line.id, fee_cents=line.fee_cents)
        for line in stripe.movements(since=since)
        if line.type in {"charge", "payment"}
    )
    return Walked(seen, missed, fees)


def difference_cents() -> int:
    """What Stripe's books hold less what ours say that they hold; zero when all is well and told of."""
    theirs = sum(line.net_cents for line in stripe.movements(since=0))
    ours = -balances.of(kind=LedgerAccount.Kind.STRIPE_CLEARING)
    return theirs - ours // NANO_PER_CENT
