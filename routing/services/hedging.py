"""Asking a second endpoint beside one that takes unusually long to begin: the first that answers wins.

Only where the caller wants it (`provider.hedge`), before anything was delivered. The loser is canceled, and what its
provider bills for it is the platform's: the caller is charged for the answer, at the prices of who gave it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from routing.canonical import UpstreamError
from routing.services.admission import CHAT, Admission

R = TypeVar("R")
A = TypeVar("A")


def wants(admission: Admission) -> bool:
    """Whether the caller wants it, and nobody's own order or own key forbids it."""
    is_streamed_chat = admission.operation == CHAT and admission.is_streamed
    return admission.request.preferences.hedge and is_streamed_chat and not admission.is_fixed


async def first_of(
    ask: Callable[[A], Awaitable[R]],
    first: A,
    *,
    after: float,
    second: Callable[[], A | None],
    is_winner: Callable[[A], bool],
    let_go: Callable[[R], Awaitable[None]],
) -> R:
    """The answer of `first`, or of the second that is asked beside it after so many seconds, if there is one.

    `is_winner` says of one that answered whether it was before the other; an answer that came all the same is given to
    `let_go`. Raises the last UpstreamError where none answers. Whoever loses has been canceled when this returns.
    """
    running = {asyncio.ensure_future(ask(first)): first}
    error: UpstreamError | None = None
    try:
        done, _ = await asyncio.wait(running, timeout=after)
        if not done and (other := second()) is not None:
            running[asyncio.ensure_future(ask(other))] = other
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    answer = task.result()
                except UpstreamError as failed:
                    error = failed
                    del running[task]
                else:
                    if is_winner(running[task]):
                        del running[task]
                        return answer
        raise error or RuntimeError("nothing was asked")
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled() and task.exception() is None:
                await let_go(task.result())
