"""A request of any operation that was admitted: tried at one endpoint after the other, and ended exactly once.

Async only, and free of any web framework. What an operation adds (how it asks, what it delivers) is its own service's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar, cast

import structlog

from marketplace.lib import ids, pool
from marketplace.lib.errors import AppError
from marketplace.services.guardrails import Policy
from marketplace.services.keys import Caller
from routing.adapters.base import HttpRequest
from routing.canonical import ChatRequest, Chunk, Routed, UpstreamError, Usage
from routing.ingress.openai_chat_answers import Bill
from routing.models import Attempt, Generation
from routing.selection.candidates import INSTANCE_MS, Need
from routing.selection.faults import fault_of
from routing.selection.standing import Ticket
from routing.selection.toolcalls import ToolCalls
from routing.services import hedging, metrics, running, settlement, waiting
from routing.services.admission import CHAT, Admission, Try, admit
from routing.services.checkpoints import CHECKPOINTS, Live
from routing.services.failures import failure
from routing.services.google_tokens import TOKENS
from routing.services.health import HEALTH
from routing.services.routes import Route
from routing.services.settlement import Ending, Tried
from routing.services.told import tell
from routing.upstream import SENDER

logger = structlog.get_logger(__name__)
R = TypeVar("R")
Q = TypeVar("Q", bound=Routed)
# Sends a request in a dialect, waiting so many seconds.
Send = Callable[[HttpRequest, str, float], Awaitable[R]]
# Makes of a request what an endpoint takes, under the caller's guardrails.
Fit = Callable[[Q, Route, Policy], Awaitable[Q]]
Status = Generation.Status

ATTEMPTS_PER_MODEL: Final = 4
# Settlements that outlive the request they belong to; kept here so that nobody collects them half-way.
PENDING: Final[set["asyncio.Task[object]"]] = set()


async def begin(
    *,
    caller: Caller,
    request: Q,
    need_of: Callable[[Q], Need],
    build: Callable[[Try, Q], HttpRequest],
    fit: Fit[Q] | None = None,
    operation: str = CHAT,
    streamed: bool = False,
    endpoint_id: int | None = None,
) -> "Call":
    """Admit a request of any operation; `need_of` says what it needs, `build` writes it for an endpoint to be tried,
    after `fit` has made of it what that endpoint takes. With `endpoint_id` only that one is tried.

    All are given the request as the caller's guardrails let it through. Raises AppError.
    """
    admitted = pool.run(
        admit, caller=caller, request=request, need_of=need_of, operation=operation, streamed=streamed,
        endpoint_id=endpoint_id,
    )  # fmt: skip
    work = asyncio.ensure_future(admitted)
    try:
        admission = await asyncio.shield(work)
    except asyncio.CancelledError:
        # The hold may be placed all the same: see to it that it is given back.
        keep(_release_admitted(work))
        raise
    return Call(admission, cast(Callable[[Try, Routed], HttpRequest], build), cast("Fit[Routed] | None", fit))


async def _authorised(attempt: Try) -> Try:
    """The attempt with a fresh token, where its provider's credentials are exchanged for one."""
    target = await TOKENS.authorised(attempt.route.target)
    if target is attempt.route.target:
        return attempt
    return replace(attempt, route=replace(attempt.route, target=target))


async def _release_admitted(work: "asyncio.Future[Admission]") -> None:
    try:
        admission = await work
    except Exception:  # refused: nothing is held
        return
    ending = Ending(Status.CANCELED)
    await pool.run(settlement.release, generation_id=admission.generation_id, hold_id=admission.hold_id, ending=ending)


class Call:
    """One admitted request: what has been tried, what has been delivered, and that it ends once."""

    def __init__(
        self, admission: Admission, build: Callable[[Try, Routed], HttpRequest], fit: Fit[Routed] | None = None
    ) -> None:
        self.admission = admission
        self._build = build
        self._fit = fit
        self.live = Live(admission.generation_id)
        self.tried: list[Tried] = []
        self._errors: list[tuple[Route, UpstreamError]] = []
        self._tool_calls = ToolCalls()
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.native_finish_reason = ""
        self.started = time.monotonic()
        self.first_at: float | None = None
        self.ticket: Ticket | None = None  # of the attempt that answers
        self._outcome: asyncio.Task[object] | None = None
        CHECKPOINTS.watch(self.live)

    @property
    def public_id(self) -> str:
        """`gen-…`."""
        return ids.generation_id(self.admission.generation_id)

    async def try_each(self, send: Send[R]) -> tuple[Route, R]:
        """The first endpoint that answers, and its answer. Raises AppError when none does."""
        left = list(self.admission.tries)
        while left:
            was_held = await self._hold(left)
            if was_held is None:
                crowded = UpstreamError("Every endpoint is at its limit.", kind="rate_limited", retryable=True)
                self._errors.append((left[0].route, crowded))
                break
            attempt = self._next(left, was_held=was_held)
            left.remove(attempt)
            model = attempt.route.candidate.model
            try:
                route, answer = await self._ask(attempt, send, left)
            except UpstreamError as error:
                tried = sum(route.candidate.model == model for route, _ in self._errors)
                if tried >= ATTEMPTS_PER_MODEL or (error.is_callers and not error.retryable):
                    left = [one for one in left if one.route.candidate.model != model]
                # A refusal for want of capacity costs the endpoint nothing: what the budget bounds is work.
                if left and fault_of(error) != "capacity" and not HEALTH.may_retry():
                    logger.warning("retry_budget_spent", generation=self.public_id)
                    break
                continue
            self.first_at = time.monotonic()
            return route, answer
        raise failure(self._errors)

    async def _hold(self, left: list[Try]) -> bool | None:
        """Wait while every endpoint is at its limit and a place will come soon; whether there was a wait.

        None where it has waited long enough: every place is for requests that came later and can be in time.
        """
        if self.admission.is_fixed:
            return False
        candidates = [one.route.candidate for one in left]
        tokens, was_refused, was_held = self.admission.need.input_estimate, bool(self.tried), False
        while True:
            waited = time.monotonic() - self.started
            seconds = HEALTH.hold(candidates, tokens=tokens, waited=waited, was_refused=was_refused)
            if seconds is None:
                return None
            if seconds <= 0:
                return was_held
            was_held = True
            await asyncio.sleep(seconds)

    def _next(self, left: list[Try], *, was_held: bool) -> Try:
        """The plan's first; after a failure or a wait the best of what is left, by what is known by now."""
        if self.admission.is_fixed or not (self.tried or was_held):
            return left[0]
        by_attempt = {id(one.attempt): one for one in left}
        seed = f"{self.admission.generation_id}:{len(self.tried)}"
        waited = time.monotonic() - self.started
        return by_attempt[id(HEALTH.again([one.attempt for one in left], seed=seed, waited=waited))]

    async def _ask(self, attempt: Try, send: Send[R], left: list[Try]) -> tuple[Route, R]:
        """The answer of this endpoint, or where the caller wants it that of a faster one that was asked beside it."""
        if not hedging.wants(self.admission):
            return await self._try(attempt, send, left)
        candidate = attempt.route.candidate
        found = await hedging.first_of(
            lambda one: self._try(one, send, left),
            attempt,
            after=HEALTH.hedge_after(candidate.endpoint_id, tokens=self.admission.need.input_estimate),
            second=lambda: self._second(candidate.model, left),
            is_winner=lambda one: one.route is self.live.route,
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
        chosen = self._next(well, was_held=True)
        left.remove(chosen)
        return chosen

    async def _try(self, attempt: Try, send: Send[R], left: list[Try]) -> tuple[Route, R]:
        route = attempt.route
        endpoint_id = route.candidate.endpoint_id
        request = await self._fitted(route)
        if (seconds := HEALTH.reserve(endpoint_id)) > 0:
            await asyncio.sleep(seconds)
        started = time.monotonic()
        tokens, is_whole = self.admission.need.input_estimate, not self.admission.is_streamed
        ticket = HEALTH.begin(endpoint_id, tokens=tokens, is_whole=is_whole)
        patience, whole = self._patience(ticket, attempt, left)
        try:
            ready = self._build(await _authorised(attempt), request)
            ready = running.prepared(ready, route=route, generation_id=self.admission.generation_id)
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
            self.tried.append(Tried(route, _ms(seconds), error.kind, error.status))
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
        self.ticket, self.live.route, self.live.answered_at = ticket, route, time.monotonic()
        HEALTH.first(ticket, is_whole=is_whole)
        seconds = time.monotonic() - started
        metrics.attempted(route, outcome="ok", first_token_s=seconds if self.admission.is_streamed else None)
        self.tried.append(Tried(route, _ms(seconds)))
        return route, answer

    def _outrun(self, route: Route, started: float) -> None:
        metrics.attempted(route, outcome=Attempt.OUTRUN)
        self.tried.append(Tried(route, _ms(time.monotonic() - started), Attempt.OUTRUN))

    async def _fitted(self, route: Route) -> Routed:
        """What this endpoint is asked. Its own time does not run yet: media that a caller's server gives slowly or
        not at all are not the endpoint's doing."""
        if self._fit is None:
            return self.admission.request
        try:
            return await self._fit(self.admission.request, route, self.admission.policy)
        except UpstreamError as error:
            self.tried.append(Tried(route, 0, error.kind, error.status))
            self._errors.append((route, error))
            raise

    def _patience(self, ticket: Ticket, attempt: Try, left: list[Try]) -> tuple[float, float]:
        """(seconds to wait for this attempt, seconds that the sender would wait): the last keeps all of them."""
        is_last = not HEALTH.has_well_one([one.route.candidate for one in left])
        if self.admission.operation != CHAT:
            return SENDER.limits.answer, SENDER.limits.answer  # how long it takes says nothing of its tokens
        if self.admission.is_streamed:
            whole = SENDER.limits.first_chunk
            return HEALTH.patience(ticket, whole=whole, is_last=is_last), whole
        whole = SENDER.limits.answer
        most = attempt.max_tokens
        return HEALTH.patience_for_whole(ticket, max_tokens=most, whole=whole, is_last=is_last), whole

    def take(self, chunk: Chunk) -> None:
        """Note what a piece brings; call it before the piece goes out."""
        self.live.delivered_bytes += chunk.delivered_bytes
        self._tool_calls.take(chunk.tool_calls)
        self.usage = chunk.usage or self.usage
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.native_finish_reason = chunk.native_finish_reason or self.native_finish_reason

    async def charge(self, status: Status, *, error_kind: str = "") -> Bill:
        """Settle for what was used: the provider's count, or ours where it did not come."""
        usage = self.usage
        if usage is None or (status is not Status.FINISHED and not usage.completion_tokens):
            usage = settlement.counted(
                input_tokens=self.admission.need.input_estimate, delivered_bytes=self.live.delivered_bytes
            )
        return await self.settle(status, usage=usage, units=self.admission.need.units, error_kind=error_kind)

    async def settle(self, status: Status, *, usage: Usage, units: Mapping[str, int], error_kind: str = "") -> Bill:
        """Settle for these tokens and other units, at the prices of the endpoint that answered."""
        route = self.live.route
        if route is None:
            raise RuntimeError("nothing answered, so nothing can be charged")
        self._learn(route, usage, status)
        ending = self._ending(status, error_kind)
        how = partial(self._end, settlement.charge, route=route, usage=usage, ending=ending)
        is_to_ask = route.candidate.is_by_time and not self.has_ended
        bill = await (self._timed(how, route, units) if is_to_ask else how(units=units))
        return bill if bill is not None else settlement.NOTHING

    async def _timed(self, how: Callable[..., Awaitable[R]], route: Route, units: Mapping[str, int]) -> R:
        """End with the milliseconds that the answer ran, whatever becomes of the request while its host is asked."""
        since_first = _ms(time.monotonic() - (self.first_at or time.monotonic()))
        generation_id = self.admission.generation_id

        async def end() -> R:
            ran = await running.milliseconds(route=route, generation_id=generation_id, otherwise=since_first)
            return await how(units={**units, INSTANCE_MS: ran})

        return await asyncio.shield(keep(end()))

    async def suspend(self, how: Callable[..., R], **arguments: object) -> R | None:
        """Leave the hold open for a provider that works on: `how` writes down who ends it."""
        return await self._end(how, ending=self._ending(Status.WAITING, ""), **arguments)

    async def give_up(self, error: BaseException) -> None:
        """Release the hold: nothing was delivered. The caller's error names the generation and its routing."""
        if isinstance(error, AppError):
            error.headers["X-Generation-Id"] = self.public_id
            error.offered["openrouter_metadata"] = self.tell()
        canceled = isinstance(error, asyncio.CancelledError | GeneratorExit)
        kind = "" if canceled else (self.tried[-1].error_kind if self.tried else "error")
        ending = self._ending(Status.CANCELED if canceled else Status.FAILED, kind)
        await self._end(settlement.release, ending=ending)

    def tell(self) -> Mapping[str, Any]:
        """What a caller who asks for it is told of the routing so far."""
        admission = self.admission
        return tell(request=admission.request, tries=admission.tries, tried=self.tried, choice=admission.choice)

    async def hang_up(self) -> None:
        """The caller is gone: settle what was delivered, or release if that is nothing."""
        if self.live.delivered_bytes:
            await self.charge(Status.CANCELED)
        else:
            await self._end(settlement.release, ending=self._ending(Status.CANCELED, ""))

    async def _end(self, how: Callable[..., R], **arguments: object) -> R | None:
        """Run the ending once and to its end, whatever becomes of the request meanwhile."""
        if self._outcome is not None:
            await asyncio.shield(self._outcome)  # somebody else ends it; its settlement comes before our word
            return None
        CHECKPOINTS.forget(self.live)
        if self.ticket is not None:
            HEALTH.dropped(self.ticket)  # where nobody has told its end
        admission = self.admission
        if isinstance(ended := arguments.get("ending"), Ending):
            metrics.ended(operation=admission.operation, status=ended.status)
        work = pool.run(how, generation_id=admission.generation_id, hold_id=admission.hold_id, **arguments)
        ending = keep(work)
        self._outcome = ending
        return await asyncio.shield(ending)

    @property
    def has_ended(self) -> bool:
        """Whether it has been settled or released, or that is under way."""
        return self._outcome is not None

    def _ending(self, status: Status, error_kind: str) -> Ending:
        now = time.monotonic()
        return Ending(
            status=status,
            tried=tuple(self.tried),
            finish_reason=self.finish_reason,
            native_finish_reason=self.native_finish_reason,
            error_kind=error_kind,
            latency_ms=_ms((self.first_at or now) - self.started),
            generation_ms=_ms(now - self.started),
            delivered_bytes=self.live.delivered_bytes,
            choice=self.admission.choice,
        )

    def broke(self, error: UpstreamError) -> None:
        """The answer broke off after its first piece: no failover any more, but something to learn."""
        if self.ticket is not None:
            HEALTH.failed(self.ticket, error)

    def _learn(self, route: Route, usage: Usage, status: Status) -> None:
        ticket = self.ticket
        if ticket is None or ticket.is_over:
            return
        if status is not Status.FINISHED:
            HEALTH.dropped(ticket)
            return
        candidate = route.candidate
        HEALTH.ended(ticket, model=candidate.model, output_tokens=usage.completion_tokens)
        metrics.answered(route, tokens=usage.completion_tokens, seconds=time.monotonic() - ticket.began)
        self._learn_of_tools(candidate.endpoint_id)
        if self.admission.conversation is None:
            return
        HEALTH.answered(
            self.admission.conversation, candidate=candidate, prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
        )  # fmt: skip

    def _learn_of_tools(self, endpoint_id: int) -> None:
        """Whether the tool calls of a whole answer could be used; what its own cap cut short says nothing."""
        request = self.admission.request
        if not isinstance(request, ChatRequest) or self.finish_reason == "length":
            return
        malformed = self._tool_calls.are_malformed(offered={tool.name for tool in request.tools})
        if malformed is not None:
            HEALTH.called_tools(endpoint_id, malformed=malformed)


async def _let_go(found: tuple[Route, Any]) -> None:
    await found[1].close()


def keep(work: Awaitable[R]) -> "asyncio.Task[R]":
    """Begin this and see it to its end, whatever becomes of the request that it belongs to."""
    task: asyncio.Task[R] = asyncio.ensure_future(work)
    PENDING.add(task)
    task.add_done_callback(PENDING.discard)
    return task


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
