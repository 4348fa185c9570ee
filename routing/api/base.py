"""What the gateway's views share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from adrf.views import APIView
from django.http import HttpRequest, HttpResponse

from marketplace.api import auth
from marketplace.api.negotiation import AnyAccept
from marketplace.services.keys import Caller


class View(APIView):  # type: ignore[misc]  # adrf ships no types
    """Async; bodies are read by our own ingress, and who calls is asked for by each handler."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = AnyAccept

    async def caller(self, request: Any) -> Caller:
        """The caller, whose key may use models. Raises Unauthorized or Forbidden."""
        return await auth.caller(plain(request), scope="inference")

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


def answer(data: Any, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Data as JSON; money in it is written exactly."""
    return HttpResponse(orjson.dumps(data), content_type="application/json", headers=dict(headers or {}))
