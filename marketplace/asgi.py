"""The ASGI entry: what browsers may read, body caps, then Django behind a shared, bounded thread pool.

Django's own handler gives every request a thread of its own. Here all of them share
`lib.pool.EXECUTOR`; docs/decisions/0003-one-thread-pool.md says why that is sound.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import django
from asgiref.sync import ThreadSensitiveContext

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402  after setup
from django.core.handlers.asgi import ASGIHandler  # noqa: E402  after setup
from django.utils.module_loading import import_string  # noqa: E402  after setup

from marketplace.lib import pool  # noqa: E402  after setup
from marketplace.lib.bodies import BodyLimit  # noqa: E402  after setup
from marketplace.lib.cors import AnyOrigin  # noqa: E402  after setup

Scope = MutableMapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class PooledHandler(ASGIHandler):
    """Django's handler, its synchronous sections on the shared pool."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; other protocols are refused."""
        if scope["type"] != "http":
            raise ValueError(f"Turnpike speaks HTTP only, not {scope['type']}.")
        async with ThreadSensitiveContext(executor=pool.EXECUTOR):
            await self.handle(dict(scope), receive, send)


_site = AnyOrigin(BodyLimit(PooledHandler(), limits=settings.BODY_LIMITS))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan events are answered here; requests go to Django."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _site(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    background: list[asyncio.Task[None]] = []
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            background = [asyncio.ensure_future(import_string(name)()) for name in settings.WEB_BACKGROUND]
        else:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
