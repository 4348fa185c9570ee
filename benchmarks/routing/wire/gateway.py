"""Our own lane: the gateway's loop as it runs in production, `services.calls.Call.try_each` with `services.health`.

Only admission is made by hand (no wallet, no database), and nothing is settled.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from benchmarks.routing.fleet import Truth
from benchmarks.routing.ours import candidate_of, prompt_of
from benchmarks.routing.scenarios import Scenario
from benchmarks.routing.wire.lanes import DIALECT, MODEL, Lane, chat_of
from benchmarks.routing.workload import Request
from benchmarks.routing.world import Job
from marketplace.lib.errors import AppError
from marketplace.services.guardrails import Policy
from routing.adapters.base import HttpRequest
from routing.adapters.registry import adapter_for
from routing.canonical import ChatRequest, ProviderPreferences, Routed
from routing.selection.candidates import Need
from routing.services.admission import Admission, Try
from routing.services.calls import Call
from routing.services.checkpoints import CHECKPOINTS
from routing.services.health import HEALTH
from routing.services.routes import Route
from routing.upstream import Stream

MAX_TOKENS = 4_096
BALANCED = ProviderPreferences()


class GatewayLane(Lane):
    """Turnpike, with the standing of its endpoints in this process: one such lane at a time."""

    def __init__(
        self, number: int, *, fleet: Sequence[Truth], scenario: Scenario, requests: Sequence[Request],
        ports: Sequence[int], seed: int,
    ) -> None:  # fmt: skip
        super().__init__(number, fleet=fleet, scenario=scenario, requests=requests, ports=ports)
        self.seed = seed
        self._index = {target.base_url: i for i, target in enumerate(self.targets)}
        HEALTH.forget()

    async def serve(self, job: Job) -> None:
        call = Call(self._admit(job), _build)
        CHECKPOINTS.forget(call.live)  # nobody sweeps it: there is no database
        try:
            route, stream = await call.try_each(self._send)
        except AppError:
            self.give_up(job)
            return
        finally:
            job.tried = [one.route.endpoint_id for one in call.attempts.tried]
        self.answered(job, route.endpoint_id)
        usage = await self.read(job, stream)
        if call.attempts.ticket is None:
            raise RuntimeError("a call that is answered has a ticket")
        HEALTH.ended(call.attempts.ticket, model=MODEL, output_tokens=usage.completion_tokens)
        HEALTH.answered(
            call.admission.prompt, candidate=route.candidate, tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
        )  # fmt: skip

    async def _send(self, request: HttpRequest, dialect: str, patience: float) -> Stream:
        return await self.open(request, self._index[request.url.removesuffix("/chat/completions")], patience=patience)

    def _admit(self, job: Job) -> Admission:
        """What `services.admission` makes of a request, without what it reserves."""
        generation = uuid.UUID(int=(self.seed << 32) + job.number)
        prompt = prompt_of(job)
        need = Need(input_bound=job.request.tokens, input_estimate=job.request.tokens, max_tokens=None)
        routes = [self._route(i) for i in range(len(self.endpoints))]
        plan = HEALTH.plan(
            groups=[[route.candidate for route in routes]], need=need, preferences=BALANCED, seed=str(generation),
            prompt=prompt,
        )  # fmt: skip
        tries = tuple(Try(routes[one.candidate.endpoint_id], MAX_TOKENS, one) for one in plan.attempts)
        return Admission(
            generation, 0, generation, need, tries, chat_of(job), Policy(), is_streamed=True, prompt=prompt
        )

    def _route(self, index: int) -> Route:
        endpoint = self.endpoints[index]
        candidate = candidate_of(endpoint, endpoint.price_factor)
        return Route(candidate, DIALECT, self.targets[index], index, 0, index)


def _build(attempt: Try, request: Routed) -> HttpRequest:
    assert isinstance(request, ChatRequest)
    route = attempt.route
    return adapter_for(route.dialect).build(request, target=route.target, stream=True, max_tokens=attempt.max_tokens)
