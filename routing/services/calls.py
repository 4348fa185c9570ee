"""A request of any operation that was admitted: answered by an endpoint, and ended exactly once.

Async only, and free of any web framework. What an operation adds (how it asks, what it delivers) is its own service's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar, cast

import structlog

from marketplace.lib import ids, pool
from marketplace.lib.errors import AppError
from marketplace.services.keys import Caller
from routing.canonical import ChatRequest, Chunk, Routed, UpstreamError, Usage
from routing.ingress.openai_chat_answers import Bill
from routing.models import Generation
from routing.selection.candidates import INSTANCE_MS, Need
from routing.selection.toolcalls import ToolCalls
from routing.services import metrics, running, settlement
from routing.services.admission import CHAT, Admission, admit
from routing.services.attempts import Attempts, Build, Fit, Send, ms
from routing.services.checkpoints import CHECKPOINTS, Live
from routing.services.health import HEALTH
from routing.services.routes import Route
from routing.services.settlement import Ending
from routing.services.told import tell

logger = structlog.get_logger(__name__)
R = TypeVar("R")
Q = TypeVar("Q", bound=Routed)
Status = Generation.Status

# Settlements that outlive the request they belong to; kept here so that nobody collects them half-way.
PENDING: Final[set["asyncio.Task[object]"]] = set()


async def begin(
    *,
    caller: Caller,
    request: Q,
    need_of: Callable[[Q], Need],
    build: Build[Q],
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
    return Call(admission, cast("Build[Routed]", build), cast("Fit[Routed] | None", fit))


async def _release_admitted(work: "asyncio.Future[Admission]") -> None:
    try:
        admission = await work
    except Exception:  # refused: nothing is held
        return
    ending = Ending(Status.CANCELED)
    await pool.run(settlement.release, generation_id=admission.generation_id, hold_id=admission.hold_id, ending=ending)


class Call:
    """One admitted request: who answers it (`attempts`), what has been delivered, and that it ends once."""

    def __init__(self, admission: Admission, build: Build[Routed], fit: Fit[Routed] | None = None) -> None:
        self.admission = admission
        self.live = Live(admission.generation_id)
        self.attempts = Attempts(admission, live=self.live, build=build, fit=fit)
        self._tool_calls = ToolCalls()
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.native_finish_reason = ""
        self._outcome: asyncio.Task[object] | None = None
        CHECKPOINTS.watch(self.live)

    @property
    def public_id(self) -> str:
        """`gen-…`."""
        return ids.generation_id(self.admission.generation_id)

    async def try_each(self, send: Send[R]) -> tuple[Route, R]:
        """The first endpoint that answers, and its answer. Raises AppError when none does."""
        return await self.attempts.each(send)

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
        since_first = ms(time.monotonic() - (self.attempts.first_at or time.monotonic()))
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
        kind = "" if canceled else (self.attempts.tried[-1].error_kind if self.attempts.tried else "error")
        ending = self._ending(Status.CANCELED if canceled else Status.FAILED, kind)
        await self._end(settlement.release, ending=ending)

    def tell(self) -> Mapping[str, Any]:
        """What a caller who asks for it is told of the routing so far."""
        admission = self.admission
        return tell(
            request=admission.request, tries=admission.tries, tried=self.attempts.tried, choice=admission.choice
        )

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
        if self.attempts.ticket is not None:
            HEALTH.dropped(self.attempts.ticket)  # where nobody has told its end
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
            tried=tuple(self.attempts.tried),
            finish_reason=self.finish_reason,
            native_finish_reason=self.native_finish_reason,
            error_kind=error_kind,
            latency_ms=ms((self.attempts.first_at or now) - self.attempts.started),
            generation_ms=ms(now - self.attempts.started),
            delivered_bytes=self.live.delivered_bytes,
            choice=self.admission.choice,
        )

    def broke(self, error: UpstreamError) -> None:
        """The answer broke off after its first piece: no failover any more, but something to learn."""
        if self.attempts.ticket is not None:
            HEALTH.failed(self.attempts.ticket, error)

    def _learn(self, route: Route, usage: Usage, status: Status) -> None:
        ticket = self.attempts.ticket
        if ticket is None or ticket.is_over:
            return
        candidate = route.candidate
        if status is not Status.FINISHED:
            HEALTH.dropped(ticket)
            if ticket.first_at is not None:  # it has read the prompt, although nobody hears the rest
                HEALTH.answered(self.admission.prompt, candidate=candidate, tokens=ticket.tokens, cached_tokens=None)
            return
        HEALTH.ended(ticket, model=candidate.model, output_tokens=usage.completion_tokens)
        metrics.answered(route, tokens=usage.completion_tokens, seconds=time.monotonic() - ticket.began)
        self._learn_of_tools(candidate.endpoint_id)
        HEALTH.answered(
            self.admission.prompt,
            candidate=candidate,
            tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens if usage.source == "provider" else None,
        )

    def _learn_of_tools(self, endpoint_id: int) -> None:
        """Whether the tool calls of a whole answer could be used; what its own cap cut short says nothing."""
        request = self.admission.request
        if not isinstance(request, ChatRequest) or self.finish_reason == "length":
            return
        malformed = self._tool_calls.are_malformed(offered={tool.name for tool in request.tools})
        if malformed is not None:
            HEALTH.called_tools(endpoint_id, malformed=malformed)


def keep(work: Awaitable[R]) -> "asyncio.Task[R]":
    """Begin this and see it to its end, whatever becomes of the request that it belongs to."""
    task: asyncio.Task[R] = asyncio.ensure_future(work)
    PENDING.add(task)
    task.add_done_callback(PENDING.discard)
    return task
