"""Automatic top-ups: when the balance falls below a threshold the saved card is charged, once, within a monthly cap.

No transaction spans a call to Stripe: a row that only one open one per account can have is the right to charge.
"""

from __future__ import annotations

import datetime as dt

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, Sum
from django.utils import timezone

from billing.gateways.stripe import client as stripe
from billing.gateways.stripe import transport
from billing.gateways.stripe.client import Payment
from billing.models import AutoTopUp, Customer, TopUp
from billing.services import ledger, topups
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Account

logger = structlog.get_logger(__name__)


def configure(*, account: Account, is_enabled: bool, threshold_nano: int, amount_cents: int, cap_cents: int) -> None:
    """Set when and how much to top up. Raises InvalidRequest for amounts that fit nowhere, or without a card."""
    topups.check_amount(amount_cents)
    if threshold_nano < 0:
        raise InvalidRequest("The threshold is not below zero dollars.", metadata={"field": "threshold"})
    if cap_cents < amount_cents + topups.fee_cents(amount_cents):
        raise InvalidRequest("The monthly cap must cover one top-up with its fee.", metadata={"field": "monthly_cap"})
    if is_enabled and ledger.wallet_of(account.pk).credit_limit_nano:
        raise InvalidRequest("This account pays by invoice: there is nothing to top up.")
    if is_enabled and not Customer.objects.filter(account=account).exclude(payment_method_id="").exists():
        raise InvalidRequest("Top up once by hand first: that saves the card that is charged later.")
    AutoTopUp.objects.update_or_create(
        account=account,
        defaults={
            "is_enabled": is_enabled,
            "threshold_nano": threshold_nano,
            "amount_cents": amount_cents,
            "monthly_cap_cents": cap_cents,
            "failures": 0,
            "try_after": None,
            "stopped_because": "",
        },
    )


def due() -> list[int]:
    """The accounts whose free credit is below their threshold and whose next try may be now."""
    rows = AutoTopUp.objects.filter(_may_try(), is_enabled=True).select_related("account__wallet")
    return [row.account_id for row in rows if ledger.wallet_of(row.account_id).free_nano < row.threshold_nano]


def top_up_automatically(account_id: int) -> TopUp | None:
    """Charge the saved card if it is due; None when it is not, or somebody else is at it."""
    topup = _claim(account_id)
    if topup is None:
        return None
    _charge(topup)
    topup.refresh_from_db()
    return topup


def resume(now: dt.datetime | None = None) -> int:
    """Find out about automatic top-ups whose outcome was lost (a crash, a time-out); returns how many were asked of."""
    now = now or timezone.now()
    lost = TopUp.objects.filter(is_automatic=True, state=TopUp.State.PENDING, created_at__lt=now - topups.UNKNOWN_AFTER)
    for topup in lost:
        _charge(topup, now=now)
    return len(lost)


def _claim(account_id: int) -> TopUp | None:
    """The right to charge once: a row that only one open one per account can have, and the clock moved on."""
    now = timezone.now()
    try:
        with transaction.atomic():
            rows = AutoTopUp.objects.filter(_may_try(now), pk=account_id, is_enabled=True)
            # The row's lock is what others wait for; they then see the moved clock.
            if not rows.update(try_after=now + topups.UNKNOWN_AFTER):
                return None
            rule = AutoTopUp.objects.get(pk=account_id)
            wallet = ledger.wallet_of(account_id)
            if wallet.is_frozen or wallet.free_nano >= rule.threshold_nano or not _fits_the_month(rule, now):
                return None
            return TopUp.objects.create(
                account_id=account_id,
                amount_cents=rule.amount_cents,
                fee_cents=topups.fee_cents(rule.amount_cents),
                is_automatic=True,
            )
    except IntegrityError:
        return None  # an earlier one has not ended


def _charge(topup: TopUp, now: dt.datetime | None = None) -> None:
    customer = Customer.objects.get(account_id=topup.account_id)
    try:
        payment = _made_before(topup, customer, now) if now else None
        if payment is None:
            topup = _with_tax(topup, customer)
            payment = stripe.charge_saved_card(
                topup_id=str(topup.pk),
                customer_id=customer.customer_id,
                payment_method_id=customer.payment_method_id,
                amount_cents=topup.total_cents,
                tax_calculation_id=topup.tax_calculation_id,
            )
    except transport.Unreachable as error:
        logger.warning("topup_unknown", topup=str(topup.pk), error=error.message)
        return
    except transport.Rejected as error:  # no payment was made, and no webhook will tell of it
        payment = _never_made(topup, error.message)
    topups.settle(topup.pk, payment)


def _with_tax(topup: TopUp, customer: Customer) -> TopUp:
    """The top-up with its tax, asked for once and kept: another amount under the same key would be refused."""
    if not settings.STRIPE_TAX or topup.tax_calculation_id:
        return topup
    found = stripe.tax(customer_id=customer.customer_id, amount_cents=topup.amount_cents, fee_cents=topup.fee_cents)
    TopUp.objects.filter(pk=topup.pk, tax_calculation_id="").update(
        tax_calculation_id=found.calculation_id, tax_cents=found.tax_cents
    )
    return TopUp.objects.get(pk=topup.pk)


def _made_before(topup: TopUp, customer: Customer, now: dt.datetime) -> Payment | None:
    """The payment that an earlier try made without our hearing of it; None when asking again is safe."""
    found = stripe.payment_of(topup_id=str(topup.pk), customer_id=customer.customer_id)
    if found is None and now - topup.created_at > topups.KEY_LIVES:
        return _never_made(topup)
    return found


def _never_made(topup: TopUp, message: str = "The payment was never made.") -> Payment:
    return Payment(id="", status="failed", amount_cents=0, topup_id=str(topup.pk), customer_id="", message=message)


def _fits_the_month(rule: AutoTopUp, now: dt.datetime) -> bool:
    month = now.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = TopUp.objects.filter(account_id=rule.pk, is_automatic=True, created_at__gte=month)
    rows = rows.filter(state__in=[*TopUp.OPEN, TopUp.State.PAID])
    found = rows.aggregate(amount=Sum("amount_cents"), fees=Sum("fee_cents"))
    used = (found["amount"] or 0) + (found["fees"] or 0)
    return bool(used + rule.amount_cents + topups.fee_cents(rule.amount_cents) <= rule.monthly_cap_cents)


def _may_try(now: dt.datetime | None = None) -> Q:
    return Q(try_after=None) | Q(try_after__lte=now or timezone.now())
