"""What the gateway's views share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from adrf.views import APIView
from django.http import HttpRequest, HttpResponse

from marketplace.api import auth
from marketplace.api.negotiation import AnyAccept
from marketplace.lib import pool
from marketplace.services.keys import Caller, Once


class View(APIView):  # type: ignore[misc]  # adrf ships no types
    """Async; bodies are read by our own ingress, and who calls is asked for by each handler."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = AnyAccept

    async def caller(self, request: Any) -> Caller:
        """The caller, whose key may use models. Raises Unauthorized or Forbidden."""
        return await auth.caller(plain(request), scope="inference")

    async def payer(self, request: Any) -> Caller:
        """The caller of a POST that costs money, with the name under which it is to have one effect."""
        found = await self.caller(request)
        if not (name := plain(request).headers.get("Idempotency-Key", "").strip()):
            return found
        return replace(found, once=await pool.run(once, plain(request), name=name))

    async def account_or_none(self, request: Any) -> int | None:
        """The caller's account, or None where no key is given. Raises Unauthorized for a wrong one."""
        inner = plain(request)
        if "Authorization" not in inner.headers and "X-Api-Key" not in inner.headers:
            return None
        return (await self.caller(request)).account_id


def plain(request: Any) -> HttpRequest:
    """Django's request inside the framework's."""
    inner: HttpRequest = request._request
    return inner


def once(request: HttpRequest, *, name: str) -> Once:
    """What an Idempotency-Key stands for: JSON is the same however it is written, a form whatever parts its fields."""
    body = request.body
    with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    if boundary := (request.content_params or {}).get("boundary"):
        body = body.replace(boundary.encode(), b"")
    digest = hashlib.sha256(request.path.encode() + b"\0" + body).hexdigest()
    return Once(name=name, route=f"POST {request.path}"[:100], body=digest)


def answer(data: Any, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Data as JSON; money in it is written exactly."""
    return HttpResponse(orjson.dumps(data), content_type="application/json", headers=dict(headers or {}))
