"""Meters, prices and subscriptions at Stripe made as our books have them. Doing it twice changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from billing import meters
from billing.gateways.stripe import metering as gateway
from billing.models import Meter, MeterRow, Subscription, Terms, Wallet
from billing.services import metering, topups
from marketplace.models import Account, Member


def sync() -> list[str]:
    """Make what is missing; returns a line for each thing that was done. Raises Unavailable without Stripe.

    Each step asks Stripe for what is there and makes the rest under a key of its own, so that it can be cut off
    anywhere and run again, also by two at once.
    """
    return [*_meters(), *_subscriptions(), *_cards(), *_endings()]


def is_due() -> bool:
    """Whether an account waits to be subscribed or ended; never before the first `stripe_sync`, the operator's wish."""
    if not Meter.objects.exists():
        return False
    running = Subscription.objects.filter(canceled_at=None)
    waiting = Wallet.objects.filter(credit_limit_nano__gt=0).exclude(account__in=running.values("account"))
    ending = running.filter(collected_until__gte=F("ends_at"))
    return waiting.exists() or ending.exists() or _with_another_card().exists()


def _meters() -> Iterator[str]:
    priced = dict(metering.plan().titles)
    there = gateway.meters()
    prices = gateway.prices([meters.event_name(name) for name in priced])
    for name, title in {**priced, **meters.QUANTITIES}.items():
        event = meters.event_name(name)
        meter_id = there.get(event)
        if meter_id is None:
            meter_id = gateway.create_meter(event_name=event, title=title)
            yield f"+ meter {name}"
        price_id = prices.get(event, "")
        if name in priced and not price_id:
            price_id = gateway.create_price(lookup_key=event, meter_id=meter_id, title=title)
            yield f"+ price {name}"
        Meter.objects.update_or_create(name=name, defaults={"meter_id": meter_id, "price_id": price_id})


def _subscriptions() -> Iterator[str]:
    price_ids = list(Meter.objects.exclude(price_id="").order_by("name").values_list("price_id", flat=True))
    for wallet in Wallet.objects.filter(credit_limit_nano__gt=0).select_related("account"):
        account = wallet.account
        found = Subscription.objects.filter(account=account).first()
        if found is None or found.canceled_at is not None:
            _subscribe(account, price_ids)
            yield f"+ subscription of {account.slug}"
            continue
        for missing in sorted(set(price_ids) - gateway.subscribed(found.subscription_id)):
            gateway.add_price(subscription_id=found.subscription_id, price_id=missing)
            yield f"~ subscription of {account.slug}: {missing}"


def _subscribe(account: Account, price_ids: list[str]) -> None:
    owners = Member.objects.filter(account=account, role=Member.Role.OWNER).select_related("user").order_by("pk")
    customer = topups.customer_of(account=account, user=owners[0].user)
    found = gateway.subscription_of(account_id=account.pk, customer_id=customer.customer_id)
    subscription_id = found or gateway.subscribe(
        account_id=account.pk,
        customer_id=customer.customer_id,
        payment_method_id=customer.payment_method_id,
        price_ids=price_ids,
        days_until_due=settings.STRIPE_INVOICE_DAYS,
    )
    now = timezone.now()
    Subscription.objects.update_or_create(
        account=account,
        defaults={
            "subscription_id": subscription_id,
            "payment_method_id": "" if found else customer.payment_method_id,
            "started_at": now,
            # What was charged before staff's decision was paid for before.
            "collected_until": _since(account) or now,
            "ends_at": None,
            "canceled_at": None,
        },
    )


def _with_another_card() -> QuerySet[Subscription]:
    rows = Subscription.objects.filter(canceled_at=None).exclude(account__customer__payment_method_id="")
    return rows.exclude(account__customer__payment_method_id=F("payment_method_id"))


def _cards() -> Iterator[str]:
    for row in _with_another_card().select_related("account__customer"):
        card = row.account.customer.payment_method_id
        gateway.charge_card(subscription_id=row.subscription_id, payment_method_id=card)
        Subscription.objects.filter(pk=row.pk).update(payment_method_id=card)
        yield f"~ card of {row.account.slug}"


def _since(account: Account) -> dt.datetime | None:
    """When the account became post-paid, the last time."""
    since = None
    for made in Terms.objects.for_account(account.pk).order_by("pk"):
        since = (since or made.created_at) if made.credit_limit_nano else None
    return since


def _endings() -> Iterator[str]:
    """Accounts that are prepaid again: ended once all that they used has been sent."""
    rows = Subscription.objects.filter(canceled_at=None, collected_until__gte=F("ends_at"))
    for row in rows.select_related("account"):
        if MeterRow.objects.for_account(row.account_id).filter(state=MeterRow.State.WAITING).exists():
            continue
        gateway.end_subscription(row.subscription_id)
        Subscription.objects.filter(pk=row.pk).update(canceled_at=timezone.now())
        yield f"- subscription of {row.account.slug}"
