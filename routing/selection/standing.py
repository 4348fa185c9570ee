"""All that is known of one endpoint: how fast, how reliable, how full, and what is under way there.

`line` is what the choice reads, computed once per event rather than per choice: with it a choice among twenty
endpoints costs microseconds.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from math import inf
from typing import Final

from routing.selection.breaker import Breaker
from routing.selection.capacity import Capacity
from routing.selection.cost import BALANCED, scale_of, trouble
from routing.selection.faults import Fault
from routing.selection.latency import Latency
from routing.selection.line import Figures, Line
from routing.selection.ratecap import RateCap
from routing.selection.reliability import WORST, Reliability
from routing.selection.silence import FAULT, MOST_CALLS, Silence
from routing.selection.thoughts import Thoughts
from routing.selection.ticket import Ticket

SECONDS_PER_TOKEN: Final = 1 / 50
PACE_RATE: Final = 0.2
FRESH: Final = 0.75  # seconds for which a line is good where nothing happens
IDLE: Final = 5.0  # seconds without a call after which an endpoint is worth a look
TOOLS_MEAN_LIFE: Final = 3_600.0  # seconds for which malformed tool calls count
NEW_SAMPLES: Final = 20
NEW_IDLE: Final = 2.0
QUICK_FAILURE: Final = 0.5
KEY_PAUSE: Final = 60.0  # seconds after credentials were refused
SILENT_SPREADS: Final = 3.0
SILENT_SECONDS: Final = 0.3
WAIT_MOST: Final = 0.8  # seconds that a request waits for its place under a rate cap
LOST_TO_SILENCE: Final = 1.75  # seconds that a call loses at an endpoint that has fallen silent
LOOK: Final = 0.1  # seconds after which what waits is looked at again

OPEN, LIMITED, SHUT = 0, 1, 2
STEADY, IDLING, HALF_OPEN = 0, 1, 2


class Standing:
    """The live state of one endpoint. Every method takes the time; nothing here reads a clock."""

    __slots__ = (
        "_asked_from", "_fresh", "_pending", "_running", "_served", "answered_from", "breaker", "called_at", "capacity",
        "doubt", "figures", "heard_at", "latency", "pace", "paced", "rate", "reliability", "silence", "thoughts",
        "tool_calls", "wanted_until", "weighs_failures", "weighs_queues",
    )  # fmt: skip

    def __init__(self, *, like: "Standing | None" = None, phase: float = 0.5) -> None:
        """A newcomer starts at what is typical of its peers.

        `phase` in [0, 1) spreads when lines are computed anew, so that no one choice pays for all of them.
        """
        peer: Latency | None = like.latency if like is not None else None
        self._fresh = FRESH * (0.5 + phase)
        self.latency: Latency = (
            Latency(seconds=peer.long_run, spread=peer.spread, per_token=peer.per_token) if peer else Latency()
        )
        self.reliability = Reliability()
        self.tool_calls = Reliability(mean_life=TOOLS_MEAN_LIFE)
        self.breaker = Breaker()
        self.rate = RateCap()
        self.capacity = Capacity()
        self.pace: float = like.pace if like is not None else SECONDS_PER_TOKEN
        self.paced = 0
        self.wanted_until = -1e9  # until then its next places are for requests that can be in time
        self.weighs_queues = True
        self.weighs_failures = True
        self.called_at = -1e9
        self.answered_from = -1e9  # when the newest call began that has been answered
        self.heard_at = -1e9  # when a first token came last
        self._asked_from: float | None = None  # since then nothing was heard, and one call at a time asks
        self._pending: OrderedDict[int, Ticket] = OrderedDict()
        self._running: dict[int, Ticket] = {}
        self._served = 0  # of those that run: how many are known to be served, not queued
        self.silence = Silence()
        self.thoughts = Thoughts()
        self.doubt = 0.0  # how likely it has fallen silent, when the line was computed
        self.figures: Figures = self.refresh(0.0)

    @property
    def line(self) -> Line:
        """The figures by name, as they were computed last."""
        return Line._make(self.figures)

    def line_at(self, now: float) -> Line:
        """The figures by name, computed anew where it is time."""
        return Line._make(self.figures if now < self.figures[0] else self.refresh(now))

    def begin(
        self, endpoint_id: int, *, tokens: int, now: float, is_reserved: bool = False, is_whole: bool = False,
        may_think: bool = False,
    ) -> Ticket:  # fmt: skip
        """A call goes there; `is_reserved`: its place under the rate cap has been taken.

        `is_whole`: its answer will come in one piece, so that silence says nothing; nor does it where a model that
        `may_think` is not known to do so aloud.
        """
        ticket = Ticket(
            endpoint_id, tokens, now, self.capacity.in_flight, self.capacity.wait(), self.breaker.is_half_open(now),
            is_whole, may_think, is_whole or (may_think and not self.thoughts.are_aloud),
        )  # fmt: skip
        self.breaker.begin(now=now)
        if not is_reserved:
            self.rate.reserve(now=now)
        self.rate.sent(now=now)
        self.called_at = now
        if ticket.is_mute:
            self._served += 1
        else:
            self._pending[id(ticket)] = ticket
        self._running[id(ticket)] = ticket
        self.capacity.count(len(self._running), now=now)
        self.refresh(now)
        return ticket

    def first(self, ticket: Ticket, *, now: float, is_whole: bool = False) -> None:
        """Its first piece came and was sound; a plain answer comes whole and tells nothing of its first token."""
        self._pending.pop(id(ticket), None)
        if not is_whole and not ticket.is_whole:
            ticket.first_at = now
            self._served += not ticket.is_mute
            if ticket.may_think:
                usual = self.latency.long_run + self.latency.per_token * ticket.tokens
                ticket.has_thought = self.thoughts.first_token(seconds=now - ticket.began, usual=usual)
            if not ticket.has_thought:
                self._time(ticket, now=now)
        self.reliability.observe(failed=False, now=now)
        self.rate.taken()
        if self.breaker.is_open:
            self.capacity.start_slowly()
            self.reliability.forgive()
        self.breaker.succeeded()
        self._asked_from = None
        self.heard_at = now
        if ticket.began >= self.answered_from:
            self.silence.broken()
        self.answered_from = max(self.answered_from, ticket.began)
        self.refresh(now)

    def _time(self, ticket: Ticket, *, now: float) -> None:
        """Learn from how long its first token took."""
        seconds = now - ticket.began
        level = max(0.0, seconds - self.latency.per_token * ticket.tokens)
        was_late = self.capacity.first_token(
            level=level, usual=self.latency.long_run, others=ticket.others, served=self._served, now=now
        )
        if self.breaker.is_open:
            self.latency.restart(seconds=seconds, tokens=ticket.tokens, now=now)
        elif not (was_late and ticket.queueing):  # else the queue explains it
            self.latency.observe(seconds=seconds, tokens=ticket.tokens, now=now)

    def ended(self, ticket: Ticket, *, now: float, output_tokens: int = 0) -> None:
        """Its answer is whole."""
        if ticket.is_over:
            return
        self._over(ticket, now=now, ended=True)
        since = ticket.began if ticket.has_thought else ticket.first_at  # what was thought counts as output
        if since is None:
            since = min(now, ticket.began + self.latency.long_run + self.latency.per_token * ticket.tokens)
        if output_tokens > 1 and now > since:
            self.hear_pace(min((now - since) / output_tokens, 10.0))
        self.refresh(now)

    def hear_pace(self, pace: float) -> None:
        """An answer came at so many seconds a token, here or elsewhere."""
        self.pace = pace if self.paced == 0 else self.pace + PACE_RATE * (pace - self.pace)
        self.paced += 1

    def failed(
        self, ticket: Ticket, *, fault: Fault, now: float, retry_after: float | None, chance: float, breaks: bool = True
    ) -> None:
        """It failed, by this fault; `chance` in [0, 1) spreads the reopening of a breaker."""
        if ticket.is_over:
            return
        self._over(ticket, now=now)
        if fault == "caller":
            self.breaker.probe_until = 0.0
            self.rate.taken()
        elif fault == "capacity":
            self.breaker.probe_until = 0.0
            self.rate.refused(now=now, retry_after=retry_after)
        else:
            if ticket.first_at is None:
                self.reliability.observe(failed=True, now=now, seconds=now - ticket.began)
            else:  # it had counted as good until it broke
                self.reliability.failures += 1
            counts = self.reliability
            if breaks:
                self.breaker.failed(
                    calls=counts.calls, failures=counts.failures, now=now, chance=chance, at_once=fault == "key",
                    was_quick=now - ticket.began < QUICK_FAILURE,
                )  # fmt: skip
            if fault == "key":
                self.breaker.hold_until(now + KEY_PAUSE, now=now)
            elif retry_after is not None and self.breaker.is_open:
                self.breaker.hold_until(now + min(retry_after, KEY_PAUSE), now=now)
        self.refresh(now)

    def cut_off(self, ticket: Ticket, *, now: float) -> None:
        """We stopped waiting: it would have taken longer still, nobody knows by how much.

        Until something is heard from there again one call at a time goes: the first that was given up may have had
        bad luck, and a burst that follows it should not share it.
        """
        if not self.breaker.is_open:
            self.latency.at_least(seconds=now - ticket.began, now=now)
        self.silence.gave_up(now=now)
        if self._asked_from is None and not ticket.is_mute:
            self._asked_from = now
        self.refresh(now)

    def dropped(self, ticket: Ticket, *, now: float) -> None:
        """Nobody's fault: the caller went away, or a hedge won."""
        if ticket.is_over:
            return
        self._over(ticket, now=now)
        if ticket.is_probe:
            self.breaker.probe_until = 0.0
        self.refresh(now)

    def called_tools(self, *, malformed: bool, now: float) -> None:
        """A whole answer called tools."""
        self.tool_calls.observe(failed=malformed, now=now)
        self.refresh(now)

    def refresh(self, now: float) -> Figures:
        """Compute the line that the choice reads."""
        latency, breaker, capacity = self.latency, self.breaker, self.capacity
        until = now + self._fresh
        queueing = capacity.wait() if self.weighs_queues else 0.0
        usual, spread = latency.believed(now)
        level = usual + queueing
        waits: Sequence[tuple[float, float]] = ()
        if self._pending and (oldest := self._oldest()) is not None:
            age = now - oldest.began - latency.per_token * oldest.tokens
            due = usual + oldest.queueing
            until = min(until, now + max(LOOK, due - age))
            if age > due + min(SILENT_SPREADS * spread, due + SILENT_SECONDS):
                level = max(level, age)  # as slow at least are those that come now
            waits = [
                (now - one.began, usual + one.queueing + latency.per_token * one.tokens)
                for one in islice(self._pending.values(), MOST_CALLS)
            ]
        doubt = self.doubt = self.silence.doubt(waits, spread=spread, since=now - self.heard_at, now=now)
        free = self.rate.free_at(now)
        tier = OPEN
        call = STEADY
        if breaker.is_open:
            if breaker.is_half_open(now):
                tier, call = LIMITED, HALF_OPEN
            else:
                tier = SHUT
                until = min(until, max(breaker.open_until, breaker.probe_until))
        elif self._is_being_asked:
            tier = SHUT
        elif free - now > WAIT_MOST:
            tier = LIMITED
        elif now - self.called_at > (NEW_IDLE if latency.samples < NEW_SAMPLES else IDLE):
            call = IDLING
        if now < free:
            until = min(until, free, now + 0.05)
            level += free - now
            if call == HALF_OPEN:
                call = STEADY
        hopeful = latency.long_run if latency.samples else latency.long_run / 2
        share, lost = self.reliability.believed(now)
        if doubt > FAULT:
            lost = (share * lost + doubt * LOST_TO_SILENCE) / (share + doubt)
            share = min(1 - (1 - share) * (1 - doubt), WORST)
        spread += queueing / 2
        odds = share / (1 - share) if self.weighs_failures else 0.0
        self.figures = (
            until, tier, call, level, latency.per_token, self.pace, hopeful, scale_of(spread),
            trouble(lost, BALANCED) * odds, spread, odds, lost, self.tool_calls.failure_share(now),
            latency.samples > 0, self.paced > 0,
        )  # fmt: skip
        return self.figures

    def asked_for(self, now: float) -> float:
        """Seconds for which it is being asked whether it answers at all; without end where it is not."""
        return now - next(reversed(self._pending.values())).began if self._is_being_asked else inf

    @property
    def is_well(self) -> bool:
        """Whether nothing says that it fails."""
        return not (self.breaker.is_open or self._is_being_asked)

    @property
    def _is_being_asked(self) -> bool:
        if self._asked_from is None or not self._pending:
            return False
        return next(reversed(self._pending.values())).began > self._asked_from

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return len(self._running)

    def _oldest(self) -> Ticket | None:
        """Of the calls without an answer the oldest that began after every call that was answered.

        What began before is a straggler, which says nothing of the others, and is counted no more.
        """
        pending = self._pending
        while pending:
            key, oldest = next(iter(pending.items()))
            if oldest.began >= self.answered_from:
                return oldest
            del pending[key]
        return None

    def _over(self, ticket: Ticket, *, now: float, ended: bool = False) -> None:
        ticket.is_over = True
        if ticket.first_at is not None or ticket.is_mute:
            self._served -= 1
        self._pending.pop(id(ticket), None)
        self._running.pop(id(ticket), None)
        self.capacity.count(len(self._running), now=now, ended=ended)
