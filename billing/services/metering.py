"""Usage on its way to Stripe: a row for account, meter and hour, written once from the charges, then sent.

The charges are the record. A row is made in one transaction with the mark of how far its account was collected; it
is sent under its own identifier, which Stripe counts once within a day; after that what Stripe has counted is looked
at before anything is sent again. What Stripe has counted is compared with the rows every night.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from billing import meters
from billing.gateways.stripe import metering as gateway
from billing.gateways.stripe import transport
from billing.models import Customer, Meter, MeterRow, Subscription
from billing.services import rollups
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Hardware, User

logger = structlog.get_logger(__name__)

HOUR: Final = dt.timedelta(hours=1)
# Stripe knows an identifier again for a day; a margin for its clock and ours.
KNOWN_FOR: Final = dt.timedelta(hours=22)
# Stripe's sums lag behind its events.
LAG: Final = dt.timedelta(hours=1)
MOST_SENT: Final = 500
LONGEST_REASON: Final = 300
MOST_COMPARED: Final = dt.timedelta(days=34)


@dataclass(frozen=True, slots=True)
class Difference:
    """A meter whose sum at Stripe is not that of our rows."""

    account_id: int
    meter: str
    ours: int
    theirs: int


def plan() -> meters.Plan:
    """The priced meters of this installation."""
    return meters.plan(list(Hardware.objects.order_by("position", "sku").values_list("sku", flat=True)))


def export(now: dt.datetime | None = None) -> int:
    """Collect what has been charged in closed hours, and send what waits; returns how many rows were sent."""
    for row in Subscription.objects.filter(canceled_at=None):
        collect(row)
    return send(now=now)


def collect(subscription: Subscription) -> int:
    """Write the rows of an account's hours that are closed and not collected yet. Two at once are harmless."""
    since, until = subscription.collected_until, rollups.closed_until()
    if subscription.ends_at is not None:
        until = min(until, subscription.ends_at)
    if until <= since:
        return 0
    with transaction.atomic():
        mine = Subscription.objects.filter(pk=subscription.pk, collected_until=since)
        if not mine.update(collected_until=until):
            return 0
        rows = _rows(subscription.pk, since, until)
        MeterRow.objects.bulk_create(rows)
    return len(rows)


def send(now: dt.datetime | None = None) -> int:
    """Send the rows that wait, the oldest first; returns how many Stripe has taken. One that fails is sent again."""
    now = now or timezone.now()
    waiting = MeterRow.objects.filter(state=MeterRow.State.WAITING).order_by("hour", "pk")
    rows = list(waiting.select_related("account__customer")[:MOST_SENT])
    old = [row for row in rows if row.first_tried_at and row.first_tried_at < now - KNOWN_FOR]
    for row in old:
        _look_before_sending(row, now)
    fresh = [row for row in rows if row not in old]
    MeterRow.objects.filter(pk__in=[row.pk for row in fresh], first_tried_at=None).update(first_tried_at=now)
    if settings.STRIPE_METER_STREAM:
        return _stream(fresh, now)
    return sum(_send_one(row, now) for row in fresh)


def retry(ids: Iterable[UUID] | None = None) -> int:
    """Let the rows that were refused (these, or all) be sent again, their cause being mended; returns how many."""
    refused = MeterRow.objects.filter(state=MeterRow.State.REFUSED)
    if ids is not None:
        refused = refused.filter(pk__in=list(ids))
    return refused.update(state=MeterRow.State.WAITING, error="", sent_at=None, first_tried_at=None)


def drop(ids: Iterable[UUID], *, reason: str, decided_by: User) -> int:
    """Never count these refused rows at Stripe; returns how many. What they stand for is owed, and on no invoice.

    Raises InvalidRequest for a reason that is empty or too long.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise InvalidRequest(f"Say why, in 1 to {LONGEST_REASON} characters.", metadata={"field": "reason"})
    refused = MeterRow.objects.filter(state=MeterRow.State.REFUSED, pk__in=list(ids))
    return refused.update(state=MeterRow.State.DROPPED, dropped_because=reason, dropped_by=decided_by)


def refuse(report: gateway.Report) -> int:
    """Take over which rows Stripe dropped after taking them; returns how many of ours it named."""
    named = 0
    for identifier, reason in report.refused.items():
        try:
            rows = MeterRow.objects.filter(pk=UUID(identifier))
        except ValueError:
            continue  # none of ours
        named += rows.update(state=MeterRow.State.REFUSED, error=reason[:300])
    logger.error("meter_events_dropped", summary=report.summary, rows=named)
    return named


def differences(now: dt.datetime | None = None) -> list[Difference]:
    """Where Stripe's sums are not those of the rows that it took, over the days that it still takes events for."""
    now = now or timezone.now()
    until = rollups.whole(now)
    since = until - MOST_COMPARED
    known = dict(Meter.objects.values_list("name", "meter_id"))
    sent = MeterRow.objects.filter(state=MeterRow.State.SENT, hour__gte=since)
    late = set(sent.filter(sent_at__gte=now - LAG).values_list("account_id", "meter"))
    sums = sent.order_by().values_list("account_id", "meter").annotate(total=Sum("value"))
    customers = dict(Customer.objects.values_list("account_id", "customer_id"))
    found = []
    for account_id, meter, total in sums:
        if (account_id, meter) in late or meter not in known:
            continue
        theirs = gateway.summed(
            meter_id=known[meter], customer_id=customers[account_id], since=since, until=until + HOUR
        )
        if theirs != total:
            found.append(Difference(account_id, meter, int(total), theirs))
    return found


def _rows(account_id: int, since: dt.datetime, until: dt.datetime) -> list[MeterRow]:
    priced: dict[tuple[dt.datetime, str], int] = defaultdict(int)
    counted: dict[tuple[dt.datetime, str], int] = defaultdict(int)
    ours = plan()
    charges = rollups.charged(since=since, until=until).filter(account_id=account_id)
    fields = charges.values_list("moment", "kind", "corrects__kind", "labels", "amount_nano", "quantities")
    for moment, kind, corrected, labels, nano, units in fields:
        hour = rollups.whole(moment)
        priced[hour, ours.family(kind=corrected or kind, labels=labels)] += nano
        for name, value in meters.quantities((unit, int(count)) for unit, count in units.items()).items():
            counted[hour, name] += value
    rows = [
        MeterRow(account_id=account_id, meter=name, hour=hour, value=value)
        for (hour, name), value in counted.items()
        if value
    ]
    totals: dict[str, int] = {}
    for (hour, family), nano in sorted(priced.items()):
        before = totals[family] if family in totals else _total(account_id, family)
        totals[family] = after = before + nano
        value = meters.micro(before_nano=before, after_nano=after)
        state = MeterRow.State.WAITING if value else MeterRow.State.NOTHING
        rows.append(
            MeterRow(account_id=account_id, meter=family, hour=hour, value=value, total_nano=after, state=state)
        )
    return rows


def _total(account_id: int, family: str) -> int:
    rows = MeterRow.objects.for_account(account_id).filter(meter=family).order_by("-hour")
    return rows.values_list("total_nano", flat=True).first() or 0


def _event(row: MeterRow) -> gateway.Counted:
    # The last second of its hour, which lies in the past and in the same month; never before the subscription began.
    began = Subscription.objects.values_list("started_at", flat=True).get(pk=row.account_id)
    at = max(row.hour + HOUR - dt.timedelta(seconds=1), began)
    return gateway.Counted(
        identifier=str(row.pk),
        event_name=meters.event_name(row.meter),
        customer_id=row.account.customer.customer_id,
        value=row.value,
        at=at,
    )


def _send_one(row: MeterRow, now: dt.datetime) -> bool:
    try:
        gateway.count(_event(row))
    except transport.Unreachable as error:
        logger.warning("usage_not_sent", row=str(row.pk), error=error.message)
        return False
    except transport.Rejected as error:
        logger.error("usage_refused", row=str(row.pk), error=error.message)
        _end([row], MeterRow.State.REFUSED, error=error.message)
        return False
    return bool(_end([row], MeterRow.State.SENT, now=now))


def _stream(rows: Sequence[MeterRow], now: dt.datetime) -> int:
    sent = 0
    for place in range(0, len(rows), gateway.MOST_AT_ONCE):
        part = rows[place : place + gateway.MOST_AT_ONCE]
        try:
            gateway.count_all([_event(row) for row in part])
        except (transport.Unreachable, transport.Rejected) as error:
            logger.warning("usage_not_sent", rows=len(part), error=error.message)
            break
        sent += _end(part, MeterRow.State.SENT, now=now)
    return sent


def _look_before_sending(row: MeterRow, now: dt.datetime) -> None:
    """A row tried more than a day ago: taken, if Stripe has counted it in its hour; else it may be sent again."""
    meter = Meter.objects.filter(name=row.meter).first()
    if meter is None:
        return
    hour = rollups.whole(_event(row).at)
    try:
        theirs = gateway.summed(
            meter_id=meter.meter_id, customer_id=row.account.customer.customer_id, since=hour, until=hour + HOUR
        )
    except transport.Unreachable:
        return
    if theirs == row.value:
        _end([row], MeterRow.State.SENT, now=now)
    elif theirs:
        _end([row], MeterRow.State.REFUSED, error=f"Stripe has counted {theirs} in this hour.")
    else:
        MeterRow.objects.filter(pk=row.pk).update(first_tried_at=None)


def _end(rows: Sequence[MeterRow], state: str, *, now: dt.datetime | None = None, error: str = "") -> int:
    waiting = MeterRow.objects.filter(pk__in=[row.pk for row in rows], state=MeterRow.State.WAITING)
    return waiting.update(state=state, sent_at=now, error=error[:300])
