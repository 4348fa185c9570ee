"""The web process's only thread pool: where synchronous work of async code runs.

Django gives each ASGI request a thread (and so a database connection) of its own as soon as any
synchronous code runs for it, and keeps it until the request ends; 500 waiting requests would be 500
threads. Ours share this bounded pool instead (docs/decisions/0003): `asgi.py` hands it to Django,
and async services call `run`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

from marketplace.lib import env

P = ParamSpec("P")
R = TypeVar("R")

EXECUTOR = ThreadPoolExecutor(max_workers=env.integer("WEB_THREADS", 8, minimum=1), thread_name_prefix="pool")


async def run(call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a short synchronous function (a database hop) on the pool and await its result.

    Once started it always completes, also when the caller is cancelled: money is moved whole or not at all.
    """
    context = contextvars.copy_context()
    work = partial(context.run, partial(_with_fresh_connection, partial(call, *args, **kwargs)))
    return await asyncio.get_running_loop().run_in_executor(EXECUTOR, work)


def _with_fresh_connection(call: Callable[[], R]) -> R:
    # A connection that the server has closed meanwhile is dropped here rather than failing the request.
    close_old_connections()
    return call()
