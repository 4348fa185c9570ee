"""What one process tells the others of the endpoints it calls: counts and sums that add up in any order, and which
prompts have been read where. Pure.

A report is evidence, not a verdict: however many calls it is about, it weighs as one sample of each kind, what it
holds back is bounded, and an endpoint that has answered this process since is not given up on hearsay.
"""

import hmac
from collections import OrderedDict
from hashlib import blake2b
from typing import Annotated, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routing.selection.affinity import Told
from routing.selection.history import History, Slot
from routing.selection.prefixes import DIGEST_BYTES, KEPT
from routing.selection.ratecap import RETRY_AFTER_MAX
from routing.selection.router import Router
from routing.selection.standing import KEY_PAUSE, Standing
from routing.selection.ticket import Ticket

MOST_BYTES: Final = 128 * 1024
MOST_ENDPOINTS: Final = 100  # in one report; the others come with the next
MOST_READ: Final = 1_000  # as well
MOST_AGE: Final = 30.0  # seconds after which nothing in it says how an endpoint is
MOST_SENDERS: Final = 10_000
AHEAD: Final = 5.0  # seconds that a sender's idea of the common clock may be ahead of ours
SIGNATURE_BYTES: Final = 16
LONGEST_SECONDS: Final = 3_600.0
KEPT_MOST: Final = max(KEPT.values())

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]
Sum = Annotated[float, Field(ge=0, le=1e12)]
Histogram = Annotated[dict[Annotated[int, Field(ge=0, le=400)], Count], Field(max_length=400)]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Seen(_Said):
    """What became of one endpoint's calls since the last report, and how it stands. "Ago" is before the report."""

    endpoint: Annotated[int, Field(ge=-(2**62), le=2**62)]
    good: Count = 0
    bad: Count = 0
    limited: Count = 0
    latency: Histogram = {}
    throughput: Histogram = {}
    answered: Count = 0
    failed: Count = 0
    lost_s: Sum = 0.0  # seconds that the failures took, together
    firsts: Count = 0  # first tokens, the seconds until them and the tokens of their prompts, together
    first_s: Sum = 0.0
    first_tokens: Sum = 0.0
    paced: Count = 0  # answers, and their seconds a token, together
    pace_s: Sum = 0.0
    open_s: Seconds | None = None  # the breaker stays open so long; 0: it has closed since the last report
    failed_ago: Seconds | None = None
    answered_ago: Seconds | None = None  # since the begin of the newest call that was answered
    rate: Annotated[float, Field(gt=0, le=1e6)] | None = None  # a second, until it is refused
    blocked_s: Seconds | None = None


class Read(_Said):
    """An endpoint has read the prompts that begin so, or (with `tokens`) the conversation of that name."""

    key: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")]
    endpoint: Annotated[int, Field(ge=-(2**62), le=2**62)]
    seconds: Annotated[float, Field(gt=0, le=KEPT_MOST)]  # for which it keeps them
    tokens: Annotated[int, Field(ge=0, le=10**8)] = 0


class Report(_Said):
    """One process's word: `at` in seconds of the clock that all share, `number` one higher each time."""

    sender: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    number: Annotated[int, Field(ge=1, le=2**53)]
    at: Annotated[float, Field(ge=0, le=1e11)]
    seen: Annotated[tuple[Seen, ...], Field(max_length=MOST_ENDPOINTS)]
    read: Annotated[tuple[Read, ...], Field(max_length=MOST_READ)] = ()


class Tally:
    """What this process has seen of one endpoint since its last report."""

    __slots__ = ("answered", "failed", "first_s", "first_tokens", "firsts", "lost_s", "pace_s", "paced", "slot")

    def __init__(self) -> None:
        self.slot = Slot()
        self.answered = self.failed = self.firsts = self.paced = 0
        self.lost_s = self.first_s = self.first_tokens = self.pace_s = 0.0


class Notes:
    """Everything that this process has seen since its last report, endpoint by endpoint."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = {}
        self._open: set[int] = set()  # the breakers that the last report called open
        self._told_at: float | None = None

    def of(self, endpoint_id: int) -> Tally:
        """The endpoint's tally."""
        return self._tallies.setdefault(endpoint_id, Tally())

    def first(self, ticket: Ticket, *, now: float, is_whole: bool) -> None:
        """It answered."""
        tally = self.of(ticket.endpoint_id)
        tally.answered += 1
        if not is_whole and not ticket.has_thought:
            tally.firsts += 1
            tally.first_s += now - ticket.began
            tally.first_tokens += ticket.tokens

    def ended(self, ticket: Ticket, *, now: float, output_tokens: int) -> None:
        """Its answer is whole; the pace of one that came in one piece is not told."""
        if ticket.first_at is not None and output_tokens > 1:
            tally = self.of(ticket.endpoint_id)
            tally.paced += 1
            tally.pace_s += max(0.0, now - ticket.first_at) / output_tokens

    def failed(self, ticket: Ticket, *, now: float) -> None:
        """It failed by the endpoint's fault."""
        tally = self.of(ticket.endpoint_id)
        tally.failed += 1
        tally.lost_s += now - ticket.began

    def report(self, router: Router, *, sender: str, number: int, at: float, now: float) -> Report | None:
        """What is to be told now, and forgotten with that; None where nothing happened."""
        if self._told_at is not None and now - self._told_at > MOST_AGE:  # nobody could be told: by now it is no news
            self._tallies.clear()
        self._told_at = now
        told = [*self._tallies, *(self._open - self._tallies.keys())][:MOST_ENDPOINTS]
        seen = [_seen(pk, self._tallies.pop(pk, Tally()), router.standing(pk), self._open, now) for pk in told]
        said = tuple(one for one in seen if one.model_fields_set != {"endpoint"})
        read = tuple(_read(one) for one in router.affinities.news(most=MOST_READ, now=now))
        return Report(sender=sender, number=number, at=at, seen=said, read=read) if said or read else None


class Hearing:
    """Takes in others' reports: each once, none too old, none of our own."""

    def __init__(self, *, sender: str) -> None:
        self._sender = sender
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def take(
        self, report: Report, *, router: Router, histories: dict[int, History], at: float, now: float, wall: float
    ) -> bool:
        """Fold a report in, `at` the common clock's time; False where it is ours, known, overtaken or too old."""
        age = at - report.at
        if report.sender == self._sender or not -AHEAD <= age <= MOST_AGE:
            return False
        if report.number <= self._numbers.get(report.sender, 0):
            return False
        self._numbers[report.sender] = report.number
        self._numbers.move_to_end(report.sender)
        if len(self._numbers) > MOST_SENDERS:
            self._numbers.popitem(last=False)
        age = max(0.0, age)
        for seen in report.seen:
            _fold(seen, router.standing(seen.endpoint), now=now, then=now - age)
            slot = Slot(seen.good, seen.bad, seen.limited, dict(seen.latency), dict(seen.throughput))
            if slot != Slot():
                histories.setdefault(seen.endpoint, History()).record(slot, now=wall - age)
        read = [Told(bytes.fromhex(one.key), one.endpoint, one.seconds, one.tokens) for one in report.read]
        router.affinities.heard(read, then=now - age)
        return True


def write(report: Report, *, secret: bytes) -> bytes:
    """A report as it travels: signed, since who can write where reports pass need not know the secret."""
    body = orjson.dumps(report.model_dump(exclude_unset=True), option=orjson.OPT_NON_STR_KEYS)
    return _signature(body, secret) + body


def read(data: bytes, *, secret: bytes) -> Report | None:
    """The report in a message; None where it is garbled, too long or not signed by one of us."""
    signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if len(data) > MOST_BYTES or not hmac.compare_digest(signature, _signature(body, secret)):
        return None
    try:
        return Report.model_validate_json(body)
    except ValidationError:
        return None


def _signature(body: bytes, secret: bytes) -> bytes:
    return blake2b(body, key=secret[:64], digest_size=SIGNATURE_BYTES, person=b"turnpike-health").digest()


def _seen(endpoint_id: int, tally: Tally, standing: Standing, was_open: set[int], now: float) -> Seen:
    breaker, rate, slot = standing.breaker, standing.rate, tally.slot
    said: dict[str, object] = {
        "good": slot.good, "bad": slot.bad, "limited": slot.limited, "latency": slot.latency,
        "throughput": slot.throughput, "answered": tally.answered, "failed": tally.failed, "lost_s": tally.lost_s,
        "firsts": tally.firsts, "first_s": tally.first_s, "first_tokens": tally.first_tokens,
        "paced": tally.paced, "pace_s": tally.pace_s,
    }  # fmt: skip
    said = {name: value for name, value in said.items() if value}
    if tally.failed and breaker.is_open:
        said["open_s"] = min(max(0.001, breaker.open_until - now), LONGEST_SECONDS)
        said["failed_ago"] = _ago(breaker.failed_at, now)
        was_open.add(endpoint_id)
    elif not breaker.is_open and endpoint_id in was_open:
        said["open_s"] = 0.0
        was_open.discard(endpoint_id)
    if tally.answered or "open_s" in said:
        said["answered_ago"] = _ago(standing.answered_from, now)
    if slot.limited:
        said["blocked_s"] = min(max(0.0, rate.blocked_until - now), LONGEST_SECONDS)
        if rate.rate is not None:
            said["rate"] = min(rate.rate, 1e6)
    return Seen.model_validate({"endpoint": endpoint_id, **said})


def _read(told: Told) -> Read:
    said: dict[str, object] = {"key": told.key.hex(), "endpoint": told.endpoint_id, "seconds": round(told.seconds, 1)}
    return Read.model_validate(said | ({"tokens": told.tokens} if told.tokens else {}))


def _ago(when: float, now: float) -> float:
    return min(max(0.0, now - when), LONGEST_SECONDS)


def _fold(seen: Seen, standing: Standing, *, now: float, then: float) -> None:
    """One endpoint's part, said at `then` on our clock."""
    if seen.answered or seen.failed:
        lost = seen.lost_s / seen.failed if seen.failed else 0.0
        standing.reliability.heard(answered=seen.answered, failed=seen.failed, lost=min(lost, 60.0), then=then, now=now)
    _fold_breaker(seen, standing, now=now, then=then)
    if not standing.breaker.is_open:
        if seen.firsts:
            seconds = min(seen.first_s / seen.firsts, 600.0)
            standing.latency.observe(seconds=seconds, tokens=int(seen.first_tokens / seen.firsts), now=now)
        if seen.paced:
            standing.hear_pace(min(seen.pace_s / seen.paced, 10.0))
    if seen.blocked_s is not None:
        until = then + min(seen.blocked_s, RETRY_AFTER_MAX)
        standing.rate.heard(rate=seen.rate, blocked_until=until, now=now)
    standing.refresh(now)


def _fold_breaker(seen: Seen, standing: Standing, *, now: float, then: float) -> None:
    breaker = standing.breaker
    if seen.open_s is None:
        return
    if seen.open_s > 0:
        failed_at = then - (seen.failed_ago or 0.0)
        until = then + min(seen.open_s, KEY_PAUSE)
        # A call of ours that began after their failure and was answered knows better.
        if standing.answered_from <= failed_at and until > now:
            breaker.hold_until(until, now=now)
            breaker.failed_at = max(breaker.failed_at, failed_at)
    elif seen.answered_ago is not None and then - seen.answered_ago > breaker.failed_at and breaker.is_open:
        breaker.succeeded()
        standing.capacity.start_slowly()
