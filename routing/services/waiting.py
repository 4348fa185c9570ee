"""Waiting for a call's first piece only while it is worth it: an endpoint that falls silent is left at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from routing.selection.candidates import Candidate
from routing.selection.standing import LOOK
from routing.selection.ticket import Ticket
from routing.services.health import HEALTH
from routing.upstream import silence


@asynccontextmanager
async def while_worth_it(
    ticket: Ticket, *, others: Sequence[Candidate], patience: float, whole: float
) -> AsyncIterator[None]:
    """Awaits what is in it for `whole` seconds at most, and only until the router says to go to one of the others.

    Raises UpstreamError where that is so.
    """
    loop = asyncio.get_running_loop()
    next_look = loop.call_later(min(LOOK, patience), lambda: look())

    def look() -> None:
        nonlocal next_look
        seconds = HEALTH.wait_on(ticket, others, patience=patience, whole=whole)
        if seconds > 0:
            next_look = loop.call_later(seconds, look)
        else:
            limit.reschedule(loop.time())

    try:
        async with asyncio.timeout(None) as limit:
            yield
    except TimeoutError:
        raise silence("sent nothing") from None
    finally:
        next_look.cancel()
