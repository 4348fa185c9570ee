"""Chats that are charged by the time that they run on a host of ours: the host measures it, and is asked afterwards."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import structlog

from routing.adapters.base import HttpRequest
from routing.adapters.runs import RUNS, named
from routing.canonical import UpstreamError
from routing.services.routes import Route
from routing.upstream import SENDER

logger = structlog.get_logger(__name__)

SECONDS: Final = 2.0


def prepared(request: HttpRequest, *, route: Route, generation_id: UUID) -> HttpRequest:
    """The request, named for its host where time is charged: it ends there once what is held is used up."""
    if not route.candidate.is_by_time:
        return request
    return named(request, run=_name(route, generation_id), most_ms=route.candidate.most_ms)


async def milliseconds(*, route: Route, generation_id: UUID, otherwise: int) -> int:
    """How long the chat ran on its instance, as its host measured it; at most what was held for it.

    `otherwise`, where the host has no word: since the first piece of the answer came here, which is less.
    """
    most = route.candidate.most_ms
    question = RUNS.build(_name(route, generation_id), target=route.target)
    try:
        return min(most, (await SENDER.send(question, adapter=RUNS, patience=SECONDS)).milliseconds)
    except UpstreamError as error:
        logger.warning("run_not_measured", generation=str(generation_id), kind=error.kind)
        return min(most, otherwise)


def _name(route: Route, generation_id: UUID) -> str:
    # One request may be tried at two endpoints of one host.
    return f"{generation_id}-{route.endpoint_id}"
