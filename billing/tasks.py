"""Billing's background work."""

from __future__ import annotations

from typing import Any

import structlog
from celery import shared_task

from billing import invariants
from billing.gateways.stripe import transport
from billing.services import (
    auto_topups,
    balances,
    credits,
    daybook,
    deliveries,
    inbox,
    invoices,
    metering,
    payouts,
    refunds,
    rollups,
    subscriptions,
    walk,
)
from billing.services.alerts import watcher

logger = structlog.get_logger(__name__)


@shared_task(name="billing.check_invariants")
def check_invariants(**_: Any) -> None:
    """Say loudly when the books are not as they must be."""
    for violation in invariants.run():
        logger.error("invariant_violated", check=violation.check, detail=violation.detail)


@shared_task(name="billing.advance_balances")
def advance_balances(**_: Any) -> None:
    """Carry the balances of providers, publishers and the house forward, and the days that made them."""
    balances.advance()
    daybook.advance()


@shared_task(name="billing.close_hours")
def close_hours(**_: Any) -> None:
    """Sum up the usage of hours that have ended."""
    rollups.close()


@shared_task(name="billing.expire_credits")
def expire_credits(**_: Any) -> None:
    """End promotional credit whose time has come."""
    credits.expire()


@shared_task(name="billing.top_up")
def top_up(**_: Any) -> None:
    """Charge the saved cards of accounts that asked for it and run low; find out about what was lost."""
    if not transport.is_on():
        return
    auto_topups.resume()
    for account_id in auto_topups.due():
        auto_topups.top_up_automatically(account_id)


@shared_task(name="billing.work_off_inbox")
def work_off_inbox(**_: Any) -> None:
    """Apply webhooks that could not be applied when they came; send refunds that Stripe has not heard of."""
    if transport.is_on():
        inbox.work_off()
        refunds.resume()
        invoices.freeze_overdue()


@shared_task(name="billing.export_usage")
def export_usage(**_: Any) -> None:
    """Tell Stripe what post-paid accounts used in the hours that are closed; subscribe those that are new."""
    if not transport.is_on():
        return
    if subscriptions.is_due():
        subscriptions.sync()
    metering.export()


@shared_task(name="billing.walk")
def nightly_walk(**_: Any) -> None:
    """Look through Stripe's own lists for what never reached us."""
    if not transport.is_on():
        return
    found = walk.walk()
    logger.info("stripe_walk", events=found.events, missed=found.missed, fees=found.fees)
    for sentence in payouts.compare():
        logger.error("payout_difference", detail=sentence)
    if difference := walk.difference_cents():
        logger.error("stripe_difference", cents=difference)
    for one in metering.differences():
        logger.error("meter_difference", account=one.account_id, meter=one.meter, ours=one.ours, theirs=one.theirs)


@shared_task(name="billing.pay_out")
def pay_out(**_: Any) -> None:
    """Pay out what is ready, once a day for each account; find out about what was lost."""
    if transport.is_on():
        payouts.resume()
        payouts.pay_due()


@shared_task(name="billing.watch_alerts")
def watch_alerts(**_: Any) -> None:
    """Look for balances and key limits that crossed a line; ring for what is still to be told."""
    watcher.watch()
    deliveries.ring()


@shared_task(name="billing.deliver_alert")
def deliver_alert(*, delivery_id: int, **_: Any) -> None:
    """One try at telling of an alert."""
    deliveries.deliver(delivery_id=delivery_id)
