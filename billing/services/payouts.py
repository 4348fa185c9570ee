"""Paying out what was earned: taken out of what is owed, asked for once, taken over however Stripe tells of it.

Two phases in the ledger, payable to payouts clearing and on to Stripe clearing, or back. No transaction spans a call
to Stripe; a payout whose answer was lost is looked up before it is asked for again, under the same key.
"""

from __future__ import annotations

import datetime as dt
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from billing.gateways.stripe import connect, transport
from billing.gateways.stripe.connect import BankPayout, Connected, Transferred
from billing.models import LedgerAccount, Payout, Recipient
from billing.services import balances, earnings, ledger
from billing.services.alerts import events
from billing.services.topups import KEY_LIVES, UNKNOWN_AFTER
from marketplace.lib.errors import InvalidRequest
from marketplace.lib.money import NANO_PER_CENT
from marketplace.models import Account, User

logger = structlog.get_logger(__name__)

RETURNED: Final = "Stripe took a payout back. Staff look at it before the next one."


def onboard(*, account: Account, user: User, country: str, return_url: str, refresh_url: str) -> str:
    """Where the browser goes so that Stripe can ask who is to be paid; makes the recipient when there is none.

    Raises InvalidRequest for what is no country, Rejected for one that Stripe does not pay to, Unavailable when Stripe
    is off or away.
    """
    found = Recipient.objects.filter(account=account).first()
    if found is None:
        if not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise InvalidRequest("Write the country as two letters, such as US.", metadata={"field": "country"})
        made = connect.recipient(account_id=account.pk, name=account.name, email=user.email, country=country.upper())
        defaults = {"recipient_id": made, "country": country.upper()}
        found, _ = Recipient.objects.get_or_create(account=account, defaults=defaults)
    return connect.link(
        recipient_id=found.recipient_id, is_new=not found.is_active, return_url=return_url, refresh_url=refresh_url
    )


def refresh(recipient: Recipient) -> None:
    """Ask Stripe how a recipient stands."""
    take_over(connect.connected(recipient.recipient_id))


def take_over(told: Connected) -> bool:
    """Take over how a recipient stands; False for one that is none of ours."""
    rows = Recipient.objects.filter(recipient_id=told.id)
    return bool(rows.update(is_active=told.is_active, needs=told.needs[:300]))


def note_bank(*, recipient_id: str, told: BankPayout) -> None:
    """Keep what a recipient's bank said; the money is in its account at Stripe either way."""
    message = (told.message or "The bank did not take it.")[:300] if told.is_failed else ""
    Recipient.objects.filter(recipient_id=recipient_id).update(bank_error=message)


def go_on(recipient: Recipient) -> None:
    """Staff's decision that an account whose payout came back is paid again."""
    Recipient.objects.filter(pk=recipient.pk).update(paused_because="")


# -- one payout


def next_one(*, recipient: Recipient, now: dt.datetime | None = None) -> tuple[dt.date, int] | None:
    """The day of the next payout and its cents, of what is earned by now; None when it would never be enough."""
    now = now or timezone.now()
    first = max(now, recipient.try_after or now).astimezone(dt.UTC).date()
    least = int(settings.PAYOUT_MIN_CENTS) * NANO_PER_CENT
    found = earnings.forecast(account_id=recipient.account_id, least_nano=least, first=first, now=now)
    return None if found is None else (found[0], found[1] // NANO_PER_CENT)


def pay(
    account_id: int, *, available_cents: int, at_once: bool = False, now: dt.datetime | None = None
) -> Payout | None:
    """Pay an account what is ready; None when it is not due, less than the minimum, or somebody else is at it.

    `available_cents` is what Stripe lets us transfer; `at_once` does not wait for the day of the next look.
    """
    payout = _claim(account_id, available_cents, at_once, now or timezone.now())
    if payout is None:
        return None
    _send(payout)
    payout.refresh_from_db()
    return payout


def due(now: dt.datetime | None = None) -> list[int]:
    """The accounts to be looked at now: connected, not paused, and not looked at today."""
    return list(_payable(now or timezone.now()).order_by("pk").values_list("pk", flat=True))


def pay_due() -> list[Payout]:
    """Pay whoever is due. Raises Unreachable when Stripe does not say what there is to pay with."""
    made = []
    for account_id in due():
        payout = pay(account_id, available_cents=connect.available_cents())
        if payout is not None:
            made.append(payout)
    return made


def resume(now: dt.datetime | None = None) -> int:
    """Find out about payouts whose outcome was lost (a crash, a time-out); returns how many were asked of."""
    now = now or timezone.now()
    lost = Payout.objects.filter(state=Payout.State.PENDING, created_at__lt=now - UNKNOWN_AFTER)
    for payout in lost:
        _send(payout, now=now)
    return len(lost)


def _payable(now: dt.datetime | None) -> QuerySet[Recipient]:
    rows = Recipient.objects.filter(is_active=True, paused_because="")
    return rows if now is None else rows.filter(Q(try_after=None) | Q(try_after__lte=now))


@transaction.atomic
def _claim(account_id: int, available_cents: int, at_once: bool, now: dt.datetime) -> Payout | None:
    """The right to pay once: the clock moved on, and the money taken out of what is owed."""
    midnight = dt.datetime.combine(now.astimezone(dt.UTC).date() + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)
    # The row's lock is what others wait for; they then see the moved clock, or the pending payout.
    if not _payable(None if at_once else now).filter(pk=account_id).update(try_after=midnight):
        return None
    if Payout.objects.for_account(account_id).filter(state=Payout.State.PENDING).exists():
        return None
    cents = earnings.ready(account_id=account_id, now=now) // NANO_PER_CENT
    if cents < int(settings.PAYOUT_MIN_CENTS):
        return None
    if cents > available_cents:
        logger.error("payout_short", account=account_id, cents=cents, available_cents=available_cents)
        return None
    royalties = max(0, balances.of(kind=LedgerAccount.Kind.PUBLISHER_PAYABLE, owner_id=account_id))
    publisher = min(royalties, cents * NANO_PER_CENT)
    payout = Payout.objects.create(
        account_id=account_id,
        amount_cents=cents,
        publisher_nano=publisher,
        provider_nano=cents * NANO_PER_CENT - publisher,
    )
    _post("payout", payout, sign=-1, other=LedgerAccount.Kind.PAYOUTS_CLEARING, memo="Payout")
    return payout


def _send(payout: Payout, now: dt.datetime | None = None) -> None:
    """Ask Stripe for a payout; with `now`, for one that may have been asked for before."""
    recipient = Recipient.objects.get(account_id=payout.account_id)
    payout_id = str(payout.pk)
    try:
        told = connect.transfer_of(payout_id=payout_id) if now else None
        if told is None and now and now - payout.created_at > KEY_LIVES:
            told = _never_made(payout, "The transfer was never made.")
        if told is None:
            told = connect.transfer(
                payout_id=payout_id, recipient_id=recipient.recipient_id, amount_cents=payout.amount_cents
            )
    except transport.Unreachable as error:
        logger.warning("payout_unknown", payout=payout_id, error=error.message)
        return
    except transport.Rejected as error:
        told = _never_made(payout, error.message)
    settle(told)


def _never_made(payout: Payout, message: str) -> Transferred:
    return Transferred("", payout.amount_cents, str(payout.pk), message=message)


# -- what Stripe says of a transfer, applied


@transaction.atomic
def settle(told: Transferred) -> bool:
    """Take over how a transfer stands; False for one that is none of ours. Any order, any number of times."""
    try:
        payout = Payout.objects.filter(pk=UUID(told.our_id)).first() if told.our_id else None
    except ValueError:
        payout = None
    if payout is None:
        return False
    if not told.id:
        _fail(payout, told.message)
        return True
    sent = (
        Payout.objects.filter(pk=payout.pk)
        .exclude(state=Payout.State.PAID)
        .update(state=Payout.State.PAID, transfer_id=told.id, error="", ended_at=timezone.now())
    )
    if sent:
        events.payout_sent(payout=payout)
    if ledger.is_posted(kind="payout_failed", reference=str(payout.pk)):  # we had given it up: taken once more
        _post("payout_sent", payout, sign=-1, other=LedgerAccount.Kind.STRIPE_CLEARING, memo="Payout sent")
    else:
        legs = [
            (LedgerAccount.Kind.PAYOUTS_CLEARING, None, -payout.amount_nano),
            (LedgerAccount.Kind.STRIPE_CLEARING, None, payout.amount_nano),
        ]
        ledger.post_once(kind="payout_sent", reference=str(payout.pk), legs=legs, memo="Payout sent")
    for reversal_id, cents in told.reversals:
        _return(payout, reversal_id, cents)
    return True


def _fail(payout: Payout, message: str) -> None:
    ended = Payout.objects.filter(pk=payout.pk, state=Payout.State.PENDING).update(
        state=Payout.State.FAILED, error=message[:300], ended_at=timezone.now()
    )
    if ended:
        logger.error("payout_failed", payout=str(payout.pk), error=message)
        payout.refresh_from_db()
        events.payout_failed(payout=payout)
        _post("payout_failed", payout, sign=1, other=LedgerAccount.Kind.PAYOUTS_CLEARING, memo="Payout that failed")


def _return(payout: Payout, reversal_id: str, cents: int) -> None:
    """What Stripe took back is owed again: the provider's part first, as it was taken last."""
    if ledger.is_posted(kind="payout_returned", reference=reversal_id):
        return
    Payout.objects.filter(pk=payout.pk).update(returned_cents=F("returned_cents") + cents)
    after = Payout.objects.get(pk=payout.pk).returned_cents
    before = after - cents
    amount = cents * NANO_PER_CENT
    provider = min(payout.provider_nano, after * NANO_PER_CENT) - min(payout.provider_nano, before * NANO_PER_CENT)
    legs = [
        (LedgerAccount.Kind.PROVIDER_PAYABLE, payout.account_id, provider),
        (LedgerAccount.Kind.PUBLISHER_PAYABLE, payout.account_id, amount - provider),
        (LedgerAccount.Kind.STRIPE_CLEARING, None, -amount),
    ]
    ledger.post(kind="payout_returned", reference=reversal_id, legs=legs, memo="Payout that came back")
    Recipient.objects.filter(account_id=payout.account_id).update(paused_because=RETURNED)
    events.payout_returned(payout=payout, amount_nano=amount)


def _post(kind: str, payout: Payout, *, sign: int, other: str, memo: str) -> None:
    """Book a payout out of what is owed (sign -1) or back into it, against another account; once."""
    legs = [
        (LedgerAccount.Kind.PUBLISHER_PAYABLE, payout.account_id, payout.publisher_nano * sign),
        (LedgerAccount.Kind.PROVIDER_PAYABLE, payout.account_id, payout.provider_nano * sign),
        (other, None, -payout.amount_nano * sign),
    ]
    ledger.post_once(kind=kind, reference=str(payout.pk), legs=legs, memo=memo)


# -- the nightly comparison


def compare(*, days: int = 3) -> list[str]:
    """Take over Stripe's own list of transfers and recipients; what of it cannot be ours, in words."""
    since = timezone.now() - dt.timedelta(days=days)
    listed = list(connect.transfers(since=int(since.timestamp())))
    strange = [f"transfer {one.id} is none of ours" for one in listed if not settle(one)]
    known = {one.id for one in listed}
    # An hour's room, since their clock and ours differ.
    recent = Payout.objects.filter(state=Payout.State.PAID, created_at__gte=since + dt.timedelta(hours=1))
    missing = [row for row in recent if row.transfer_id not in known]
    amounts = {one.id: one.amount_cents for one in listed}
    wrong = [row for row in recent if row not in missing and amounts[row.transfer_id or ""] != row.amount_cents]
    for recipient in Recipient.objects.all():
        refresh(recipient)
    return [
        *strange,
        *(f"payout {row.pk} says {row.transfer_id}, which Stripe does not list" for row in missing),
        *(f"payout {row.pk} is {row.amount_cents} cents, transfer {row.transfer_id} is not" for row in wrong),
    ]
