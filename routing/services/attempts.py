"""The endpoints of an admitted request of any operation, tried one after the other until one answers.

Async only, and free of any web framework.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from marketplace.lib import ids
from marketplace.services.guardrails import Policy
from routing.adapters.base import HttpRequest
from routing.canonical import ChatRequest, Routed, UpstreamError
from routing.models import Attempt
from routing.selection.faults import fault_of
from routing.selection.filters import SAME
from routing.selection.ticket import Ticket
from routing.services import hedging, metrics, running, waiting
from routing.services.admission import CHAT, Admission, Try
from routing.services.checkpoints import Live
from routing.services.failures import failure
from routing.services.google_tokens import TOKENS
from routing.services.health import HEALTH
from routing.services.routes import Route
from routing.services.settlement import Tried
from routing.upstream import SENDER

logger = structlog.get_logger(__name__)
R = TypeVar("R")
Q = TypeVar("Q", bound=Routed)
# Sends a request in a dialect, waiting so many seconds.
Send = Callable[[HttpRequest, str, float], Awaitable[R]]
# Writes a request for an endpoint to be tried.
Build = Callable[[Try, Q], HttpRequest]
# Makes of a request what an endpoint takes, under the caller's guardrails.
Fit = Callable[[Q, Route, Policy], Awaitable[Q]]

ATTEMPTS_PER_MODEL: Final = 4


class Attempts:
    """What has been tried for one request, and which attempt answers it: its `ticket`, and in `live` its route."""

    def __init__(self, admission: Admission, *, live: Live, build: Build[Routed], fit: Fit[Routed] | None) -> None:
        self._admission = admission
        self._live = live
        self._build = build
        self._fit = fit
        self._errors: list[tuple[Route, UpstreamError]] = []
        self.tried: list[Tried] = []
        self.started = time.monotonic()
        self.first_at: float | None = None
        self.ticket: Ticket | None = None

    async def each(self, send: Send[R]) -> tuple[Route, R]:
        """The first endpoint that answers, and its answer. Raises AppError when none does."""
        left = list(self._admission.tries)
        is_stale = False  # what the plan said
        while left:
            was_held = await self._hold(left)
            if was_held is None:
                crowded = UpstreamError("Every endpoint is at its limit.", kind="rate_limited", retryable=True)
                self._errors.append((left[0].route, crowded))
                break
            attempt = self._next(left, is_stale=is_stale or was_held)
            left.remove(attempt)
            is_stale = True
            if await self._turn(attempt) and not self._keeps_turn(attempt, left):
                left.insert(0, attempt)
                continue
            model = attempt.route.candidate.model
            try:
                route, answer = await self._ask(attempt, send, left)
            except UpstreamError as error:
                tried = sum(route.candidate.model == model for route, _ in self._errors)
                if tried >= ATTEMPTS_PER_MODEL or (error.is_callers and not error.retryable):
                    wider = (
                        _wider(attempt, left) if tried < ATTEMPTS_PER_MODEL and error.kind == "context_length" else []
                    )
                    left = [one for one in left if one.route.candidate.model != model or one in wider]
                # A refusal for want of capacity costs the endpoint nothing: what the budget bounds is work.
                if left and fault_of(error) != "capacity" and not HEALTH.may_retry():
                    logger.warning("retry_budget_spent", generation=ids.generation_id(self._admission.generation_id))
                    break
                continue
            self.first_at = time.monotonic()
            return route, answer
        raise failure(self._errors)

    async def _hold(self, left: list[Try]) -> bool | None:
        """Wait while every endpoint is at its limit and a place will come soon; whether there was a wait.

        None where it has waited long enough: every place is for requests that came later and can be in time.
        """
        if self._admission.is_fixed:
            return False
        candidates = [one.route.candidate for one in left]
        tokens, was_refused, was_held = self._admission.need.input_estimate, bool(self.tried), False
        while True:
            waited = time.monotonic() - self.started
            seconds = HEALTH.hold(candidates, tokens=tokens, waited=waited, was_refused=was_refused)
            if seconds is None:
                return None
            if seconds <= 0:
                return was_held
            was_held = True
            await asyncio.sleep(seconds)

    def _next(self, left: list[Try], *, is_stale: bool) -> Try:
        """The plan's first, or where that is out of date the best of what is left, by what is known by now."""
        if self._admission.is_fixed or not is_stale:
            return left[0]
        by_attempt = {id(one.attempt): one for one in left}
        seed = f"{self._admission.generation_id}:{len(self.tried)}"
        waited = time.monotonic() - self.started
        return by_attempt[id(HEALTH.again([one.attempt for one in left], seed=seed, waited=waited))]

    @staticmethod
    async def _turn(attempt: Try) -> bool:
        """Wait for its place under the endpoint's rate cap; whether there was a wait."""
        seconds = HEALTH.reserve(attempt.route.candidate.endpoint_id)
        if seconds > 0:
            await asyncio.sleep(seconds)
        return seconds > 0

    def _keeps_turn(self, attempt: Try, left: list[Try]) -> bool:
        """Whether it still goes there after that wait, and not to another endpoint of the same model."""
        candidate = attempt.route.candidate
        alike = [one.route.candidate for one in left if one.route.candidate.model == candidate.model]
        return self._admission.is_fixed or HEALTH.keeps_turn(candidate.endpoint_id, alike)

    async def _ask(self, attempt: Try, send: Send[R], left: list[Try]) -> tuple[Route, R]:
        """The answer of this endpoint, or where the caller wants it that of a faster one that was asked beside it."""
        if not hedging.wants(self._admission):
            return await self._try(attempt, send, left)
        candidate = attempt.route.candidate

        async def ask(one: Try) -> tuple[Route, R]:
            if one is not attempt:
                await self._turn(one)
            return await self._try(one, send, left)

        found = await hedging.first_of(
            ask,
            attempt,
            after=HEALTH.hedge_after(candidate.endpoint_id, tokens=self._admission.need.input_estimate),
            second=lambda: self._second(candidate.model, left),
            is_winner=lambda one: one.route is self._live.route,
            let_go=_let_go,
        )
        self.tried.sort(key=lambda one: not one.error_kind)  # who answered is the last
        return found

    def _second(self, model: str, left: list[Try]) -> Try | None:
        """Another endpoint of the model that is well, where the budget allows to ask one; it is left no more."""
        alike = [one for one in left if one.route.candidate.model == model]
        well = [one for one in alike if HEALTH.has_well_one([one.route.candidate])]
        if not well or not HEALTH.may_hedge():
            return None
        chosen = self._next(well, is_stale=True)
        left.remove(chosen)
        return chosen

    async def _try(self, attempt: Try, send: Send[R], left: list[Try]) -> tuple[Route, R]:
        route = attempt.route
        endpoint_id = route.candidate.endpoint_id
        request = await self._fitted(route)
        started = time.monotonic()
        tokens, is_whole = self._admission.need.input_estimate, not self._admission.is_streamed
        may_think = not is_whole and self._may_think(route)
        ticket = HEALTH.begin(endpoint_id, tokens=tokens, is_whole=is_whole, may_think=may_think)
        patience, whole = self._patience(ticket, attempt, left)
        try:
            ready = self._build(await _authorised(attempt), request)
            ready = running.prepared(ready, route=route, generation_id=self._admission.generation_id)
            if not route.is_own:  # the limits of an account's own key are not the endpoint's
                ready = replace(ready, hear=partial(HEALTH.said, endpoint_id))
            if is_whole:
                answer = await send(ready, route.dialect, patience)
            else:
                others = [one.route.candidate for one in left]
                async with waiting.while_worth_it(ticket, others=others, patience=patience, whole=whole):
                    answer = await send(ready, route.dialect, whole)
        except UpstreamError as error:
            seconds = time.monotonic() - started
            HEALTH.failed(ticket, error, was_cut=error.kind == "timeout" and seconds < whole)
            metrics.attempted(route, outcome=error.kind)
            self.tried.append(Tried(route, ms(seconds), error.kind, error.status))
            self._errors.append((route, error))
            logger.info("attempt_failed", endpoint=endpoint_id, kind=error.kind, status=error.status)
            raise
        except BaseException:
            HEALTH.dropped(ticket)
            if self.ticket is not None:
                self._outrun(route, started)
            raise
        if self.ticket is not None:  # the other answered a moment before
            HEALTH.dropped(ticket)
            self._outrun(route, started)
            return route, answer
        self.ticket, self._live.route, self._live.answered_at = ticket, route, time.monotonic()
        HEALTH.first(ticket, is_whole=is_whole)
        seconds = time.monotonic() - started
        metrics.attempted(route, outcome="ok", first_token_s=seconds if self._admission.is_streamed else None)
        self.tried.append(Tried(route, ms(seconds)))
        return route, answer

    def _outrun(self, route: Route, started: float) -> None:
        metrics.attempted(route, outcome=Attempt.OUTRUN)
        self.tried.append(Tried(route, ms(time.monotonic() - started), Attempt.OUTRUN))

    async def _fitted(self, route: Route) -> Routed:
        """What this endpoint is asked. Its own time does not run yet: media that a caller's server gives slowly or
        not at all are not the endpoint's doing."""
        if self._fit is None:
            return self._admission.request
        try:
            return await self._fit(self._admission.request, route, self._admission.policy)
        except UpstreamError as error:
            self.tried.append(Tried(route, 0, error.kind, error.status))
            self._errors.append((route, error))
            raise

    def _patience(self, ticket: Ticket, attempt: Try, left: list[Try]) -> tuple[float, float]:
        """(seconds to wait for this attempt, seconds that the last one would be waited for)."""
        others = [one.route.candidate for one in left]
        is_last = not HEALTH.has_well_one(others)
        whole = self._whole(ticket, attempt)
        if self._admission.operation != CHAT:
            return whole, whole  # how long it takes says nothing of its tokens
        if self._admission.is_streamed:
            alike = [one for one in others if one.model == attempt.route.candidate.model]
            return HEALTH.patience(ticket, whole=whole, is_last=is_last, others=alike), whole
        most = attempt.max_tokens
        return HEALTH.patience_for_whole(ticket, max_tokens=most, whole=whole, is_last=is_last), whole

    def _whole(self, ticket: Ticket, attempt: Try) -> float:
        """Seconds that nobody waits beyond. What the request has waited already is taken from what it is given for
        long thoughts, prompts and answers, so that it does not wait so long at each endpoint in turn."""
        limits, waited = SENDER.limits, time.monotonic() - self.started
        if self._admission.operation != CHAT:
            return limits.answer
        if self._admission.is_streamed:
            longest = limits.to_first_piece(prompt_tokens=ticket.tokens, thinks=ticket.may_think)
            return max(limits.first_chunk, longest - waited)
        longest = limits.to_answer(prompt_tokens=ticket.tokens, max_tokens=attempt.max_tokens)
        return max(limits.answer, longest - waited)

    def _may_think(self, route: Route) -> bool:
        """Whether the model may think before it speaks: it can, and was not told to leave it."""
        request = self._admission.request
        wish = request.reasoning if isinstance(request, ChatRequest) else None
        is_told_not_to = wish is not None and (wish.enabled is False or wish.effort == "none")
        return not is_told_not_to and bool(route.candidate.parameters & SAME["reasoning"])


def _wider(attempt: Try, left: list[Try]) -> list[Try]:
    """Those of the same model that may take what was too long for this one: its length was estimated, not known."""
    failed = attempt.route.candidate
    alike = (one for one in left if one.route.candidate.model == failed.model)
    return [one for one in alike if one.route.candidate.context_length > failed.context_length]


async def _authorised(attempt: Try) -> Try:
    """The attempt with a fresh token, where its provider's credentials are exchanged for one."""
    target = await TOKENS.authorised(attempt.route.target)
    if target is attempt.route.target:
        return attempt
    return replace(attempt, route=replace(attempt.route, target=target))


async def _let_go(found: tuple[Route, Any]) -> None:
    await found[1].close()


def ms(seconds: float) -> int:
    """Whole milliseconds."""
    return round(seconds * 1000)
