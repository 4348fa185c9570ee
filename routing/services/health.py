"""The router of this process: its clock, its lock, and the calls under way.

Admission chooses on threads of the pool, attempts report from the event loop; the lock makes each of both whole.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django.conf import settings

from routing.adapters.limits import read_limit
from routing.canonical import ChatRequest, ProviderPreferences, UpstreamError
from routing.selection.candidates import Candidate, Need
from routing.selection.faults import fault_of
from routing.selection.history import History, Slot, Summary, bucket_of
from routing.selection.plan import Attempt, Plan, again, plan
from routing.selection.prefixes import UNSEEN, Prefixes, prefixes_of
from routing.selection.reports import Hearing, Notes, Report
from routing.selection.router import Router
from routing.selection.ticket import Ticket


class Health:
    """How endpoints do, learned from every call of this process and from what others report (services.sharing)."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, seed: int | None = None) -> None:
        self.router = Router()
        self.histories: dict[int, History] = {}
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - spreads reopenings; nothing secret
        self._lock = threading.Lock()
        self._sender = secrets.token_hex(16)
        self._told = 0
        self._notes = Notes()
        self._hearing = Hearing(sender=self._sender)

    def plan(
        self,
        *,
        groups: Sequence[Sequence[Candidate]],
        need: Need,
        preferences: ProviderPreferences,
        seed: str,
        prompt: Prefixes = UNSEEN,
        variants: Sequence[Sequence[str]] = (),
    ) -> Plan:
        """The attempts for a request that has arrived."""
        with self._lock:
            now = self._clock()
            self.router.arrived(now=now)
            return plan(
                groups=groups, need=need, preferences=preferences, router=self.router, now=now, seed=seed,
                prompt=prompt, variants=variants, histories=self.histories, wall=time.time(),
            )  # fmt: skip

    def again(self, left: Sequence[Attempt], *, seed: str, waited: float) -> Attempt:
        """The attempt to make after a failure, `waited` seconds after the request came."""
        with self._lock:
            return again(left=left, router=self.router, now=self._clock(), seed=seed, waited=waited)

    def may_retry(self) -> bool:
        """Whether the budget allows one more attempt; it is counted."""
        with self._lock:
            return self.router.retries.take(now=self._clock())

    def may_hedge(self) -> bool:
        """Whether a second endpoint may be asked beside a first: a twentieth of all requests, and it is counted."""
        with self._lock:
            return self.router.hedges.take(now=self._clock())

    def hedge_after(self, endpoint_id: int, *, tokens: int) -> float:
        """Seconds of silence after which that is worth it."""
        with self._lock:
            return self.router.hedge_after(endpoint_id, tokens=tokens, now=self._clock())

    def has_well_one(self, candidates: Sequence[Candidate]) -> bool:
        """Whether one of them is open: a reason not to wait for a silent one."""
        with self._lock:
            return self.router.has_well_one(candidates, now=self._clock())

    def hold(self, candidates: Sequence[Candidate], *, tokens: int, waited: float, was_refused: bool) -> float | None:
        """Seconds to wait before one is chosen: not 0 where all are at their limit and a place will come.

        None: it has waited as long as it may, and those that can be in time want every place.
        """
        with self._lock:
            return self.router.hold(
                candidates, tokens=tokens, waited=waited, now=self._clock(), was_refused=was_refused
            )

    def called_tools(self, endpoint_id: int, *, malformed: bool) -> None:
        """A whole answer called tools, `malformed` where a call cannot be used."""
        with self._lock:
            self.router.called_tools(endpoint_id, malformed=malformed, now=self._clock())

    def said(self, endpoint_id: int, headers: Mapping[str, str]) -> None:
        """What an answer's headers say of the endpoint's rate limit, if anything."""
        limit = read_limit(headers) if headers else None
        if limit is not None:
            with self._lock:
                self.router.said(
                    endpoint_id, left=limit.left, most=limit.most, per_second=limit.per_second, now=self._clock()
                )

    def know(self, endpoint_id: int, *, slots: int, taken: int, cold_seconds: float) -> None:
        """Workers of our own serve so many at once, of which so many are taken, after a start of so many seconds."""
        with self._lock:
            self.router.know(endpoint_id, slots=slots, taken=taken, cold_seconds=cold_seconds, now=self._clock())

    def know_no_more(self, endpoint_id: int) -> None:
        """They do not say any more."""
        with self._lock:
            self.router.know_no_more(endpoint_id)

    def reserve(self, endpoint_id: int) -> float:
        """A place under the endpoint's rate cap; answers how many seconds to wait for it, about one at most."""
        with self._lock:
            return self.router.reserve(endpoint_id, now=self._clock())

    def keeps_turn(self, endpoint_id: int, others: Sequence[Candidate]) -> bool:
        """Whether a request that waited for its place there still goes, and not to one of the others."""
        with self._lock:
            return self.router.keeps_turn(endpoint_id, others, now=self._clock())

    def begin(self, endpoint_id: int, *, tokens: int, is_whole: bool = False, may_think: bool = False) -> Ticket:
        """A call goes to its reserved place; give the ticket to exactly one of ended, failed and dropped."""
        with self._lock:
            now = self._clock()
            return self.router.begin(
                endpoint_id, tokens=tokens, now=now, is_reserved=True, is_whole=is_whole, may_think=may_think
            )

    def patience(self, ticket: Ticket, *, whole: float, is_last: bool, others: Sequence[Candidate] = ()) -> float:
        """Seconds that a streamed call may stay silent."""
        with self._lock:
            return self.router.patience(ticket, whole=whole, is_last=is_last, others=others)

    def wait_on(self, ticket: Ticket, others: Sequence[Candidate], *, patience: float, whole: float) -> float:
        """Seconds to wait on for a call's first piece before asking again; 0: leave it for one of the others."""
        with self._lock:
            return self.router.wait_on(ticket, others, patience=patience, whole=whole, now=self._clock())

    def patience_for_whole(self, ticket: Ticket, *, max_tokens: int, whole: float, is_last: bool) -> float:
        """Seconds that a plain call may take."""
        with self._lock:
            return self.router.patience_for_whole(ticket, max_tokens=max_tokens, whole=whole, is_last=is_last)

    def first(self, ticket: Ticket, *, is_whole: bool = False) -> None:
        """It answered: with its first piece, or the whole of a plain answer."""
        with self._lock:
            now = self._clock()
            self.router.first(ticket, now=now, is_whole=is_whole)
            self._notes.first(ticket, now=now, is_whole=is_whole)
            latency = {} if is_whole else {bucket_of(1000 * (now - ticket.began)): 1}
            self._record(ticket, Slot(latency=latency))

    def ended(self, ticket: Ticket, *, model: str, output_tokens: int) -> None:
        """Its answer is whole."""
        with self._lock:
            now = self._clock()
            self._notes.ended(ticket, now=now, output_tokens=output_tokens)
            self.router.ended(ticket, now=now, model=model, output_tokens=output_tokens)
            seconds = now - ticket.began
            speed = {bucket_of(output_tokens / seconds): 1} if output_tokens and seconds > 0 else {}
            self._record(ticket, Slot(good=1, throughput=speed))

    def failed(self, ticket: Ticket, error: UpstreamError, *, was_cut: bool = False) -> None:
        """It failed; `was_cut`: we stopped waiting for it, though the sender would have waited longer."""
        with self._lock:
            now = self._clock()
            self.router.failed(ticket, error, now=now, chance=self._random.random(), was_cut=was_cut)
            fault = fault_of(error)
            if fault in {"endpoint", "key"}:
                self._notes.failed(ticket, now=now)
            if fault != "caller":
                self._record(ticket, Slot(limited=1) if fault == "capacity" else Slot(bad=1))

    def dropped(self, ticket: Ticket) -> None:
        """It ended by nobody's fault: its caller went away."""
        with self._lock:
            self.router.dropped(ticket, now=self._clock())

    def answered(self, prompt: Prefixes, *, candidate: Candidate, tokens: int, cached_tokens: int | None) -> None:
        """The endpoint has the prompt now, of whose tokens so many came from its cache; None: nobody said."""
        with self._lock:
            self.router.answered(
                prompt, candidate=candidate, tokens=tokens, cached_tokens=cached_tokens, now=self._clock()
            )

    def summaries(self, endpoint_ids: Sequence[int], *, seconds: int) -> dict[int, Summary]:
        """What became of the calls of the last so many seconds, for those that had any."""
        with self._lock:
            now = time.time()
            known = [pk for pk in endpoint_ids if pk in self.histories]
            return {pk: self.histories[pk].over(seconds, now=now) for pk in known}

    def uptimes(self, endpoint_id: int) -> list[tuple[int, float | None]]:
        """The uptime of each half-hour of the last day, the oldest first."""
        with self._lock:
            return (self.histories.get(endpoint_id) or History()).uptimes(now=time.time())

    def standing_of_all(self) -> dict[int, tuple[bool, int, float | None]]:
        """Endpoint id -> (whether others come first, calls under way, requests a second that it is known to take)."""
        with self._lock:
            now = self._clock()
            return {
                pk: (one.breaker.is_shut_out(now), one.in_flight, one.rate.rate)
                for pk, one in self.router.standings.items()
            }

    def report(self, *, at: float) -> Report | None:
        """What the others are to be told, once, `at` the common clock's time; None where nothing happened."""
        with self._lock:
            found = self._notes.report(
                self.router, sender=self._sender, number=self._told + 1, at=at, now=self._clock()
            )  # fmt: skip
            self._told += found is not None
            return found

    def hear(self, report: Report, *, at: float) -> bool:
        """Take in what another process saw; whether it was news."""
        with self._lock:
            return self._hearing.take(
                report, router=self.router, histories=self.histories, at=at, now=self._clock(), wall=time.time()
            )

    def _record(self, ticket: Ticket, slot: Slot) -> None:
        self._notes.of(ticket.endpoint_id).slot.add(slot)
        self.histories.setdefault(ticket.endpoint_id, History()).record(slot, now=time.time())

    def forget(self) -> None:
        """Every endpoint is new again."""
        with self._lock:
            self.histories.clear()
            self._notes = Notes()
            self.router = Router(policy=self.router.policy)


def prompt_of(*, account_id: int, model: str, request: ChatRequest) -> Prefixes:
    """By what the account's prompt is known again."""
    return prefixes_of(request, secret=settings.SECRET_KEY.encode(), tenant=account_id, model=model)


HEALTH: Final = Health()
