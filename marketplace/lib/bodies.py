"""Request bodies that are too large are refused while they are read, before Django stores them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from marketplace.lib import envelopes
from marketplace.lib.errors import PayloadTooLarge

Scope = MutableMapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    pass


class BodyLimit:
    """An ASGI layer with a cap by path prefix: the first prefix that fits counts, in bytes."""

    def __init__(self, app: App, *, limits: Sequence[tuple[str, int]]) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what its body brings; answer 413 past the cap."""
        limit = next(cap for prefix, cap in self._limits if scope["path"].startswith(prefix))
        if _declared_length(scope) > limit:
            await _refuse(scope["path"], limit, send)
            return
        received = 0
        answered = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooLarge:
            if not answered:
                await _refuse(scope["path"], limit, send)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


async def _refuse(path: str, limit: int, send: Send) -> None:
    message = f"The request body is larger than {limit:,} bytes, the limit for {path}."
    error = PayloadTooLarge(message, metadata={"limit_bytes": limit})
    form = envelopes.written(error, path=path)
    content = json.dumps(form.body).encode()
    kind = form.content_type.encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": content})
