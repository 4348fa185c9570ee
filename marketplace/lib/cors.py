"""Browsers' programs of any origin may call the APIs: by key, never by a visitor's cookies.

The header `Access-Control-Allow-Origin: *` lets no answer be read that was asked for with cookies (Fetch standard), so
what a visitor is signed in to stays closed; who has a key may send it from where they like.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATHS: Final = ("/api/", "/v1/")
ALLOW: Final = b"access-control-allow-origin"
METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
A_DAY: Final = b"86400"
_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")


class AnyOrigin:
    """An ASGI layer that answers browsers' preflights under the APIs' paths, and lets their answers be read."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight here; pass everything else on, whose answers get the headers, errors too."""
        if not scope["path"].startswith(PATHS):
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"])
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            await _preflight(asked.get(b"access-control-request-headers", b""), send)
            return

        async def opened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [one for one in message["headers"] if one[0].lower() != ALLOW]
                # "*" names all headers but Authorization, which no answer has.
                headers += [(ALLOW, b"*"), (b"access-control-expose-headers", b"*")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, opened)


async def _preflight(names: bytes, send: Send) -> None:
    # The names are said back, as "*" would not cover Authorization.
    wanted = names if _NAMES.fullmatch(names) else b"authorization, content-type"
    headers = [
        (ALLOW, b"*"), (b"access-control-allow-methods", METHODS), (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", A_DAY), (b"vary", b"Access-Control-Request-Headers"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
