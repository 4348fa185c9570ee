"""What all views of this API share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, Final, ParamSpec, TypeVar

from adrf.views import APIView
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from execution import limits
from marketplace.api import auth
from marketplace.api.negotiation import AnyAccept
from marketplace.lib import pool, rates
from marketplace.lib.errors import InvalidRequest
from marketplace.services.keys import Caller

P = ParamSpec("P")
R = TypeVar("R")

_WAIT: Final = re.compile(r"\bwait(?:\s*=\s*(\d{1,6}))?(?![\w-])")


class View(APIView):  # type: ignore[misc]  # adrf ships no types
    """Async; who calls is asked for by each handler, on the shared pool."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = AnyAccept

    async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The framework's, but for a thread to begin in: these views have no permission or throttle that would ask."""
        self.args, self.kwargs, self.headers = args, kwargs, self.default_response_headers
        self.request = asked = self.initialize_request(request, *args, **kwargs)
        response: Any
        try:
            self.initial(asked, *args, **kwargs)
            name = (request.method or "").lower()
            found = getattr(self, name, None) if name in self.http_method_names else None
            response = (found or self.http_method_not_allowed)(asked, *args, **kwargs)
            if isawaitable(response):
                response = await response
        except Exception as error:
            response = self.handle_exception(error)
        finished: HttpResponseBase = self.finalize_response(asked, response, *args, **kwargs)
        self.response = finished
        return finished

    async def caller(self, request: Any, *, creates: bool = False) -> Caller:
        """As `caller_of`, in a hop of its own."""
        return await hop(caller_of, plain(request), creates=creates)


def caller_of(request: HttpRequest, *, creates: bool = False) -> Caller:
    """The caller; `creates` counts against the rate of new runs. Raises Unauthorized, Forbidden or RateLimited."""
    found = auth.caller_of(request, scope="inference")
    kind, limit = ("runs", limits.CREATIONS_A_MINUTE) if creates else ("requests", limits.REQUESTS_A_MINUTE)
    rates.take(f"{kind}:{found.account_id}", limit=limit)
    return found


async def hop(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """One short hop to the database."""
    return await pool.run(call, *args, **kwargs)


def plain(request: Any) -> HttpRequest:
    """Django's request inside the framework's."""
    inner: HttpRequest = request._request
    return inner


def answer(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """JSON, lists too."""
    return JsonResponse(body, status=status, headers=dict(headers or {}), safe=False)


def read_json(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidRequest."""
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return body


def wait_seconds(request: HttpRequest) -> float:
    """How long `Prefer: wait[=n]` asks to wait: 1 to 60 seconds, 60 unless said; 0 without it."""
    found = _WAIT.search(request.headers.get("Prefer", "").lower())
    if found is None:
        return 0.0
    asked = int(found.group(1) or limits.MAX_WAIT_SECONDS)
    return float(min(max(asked, 1), limits.MAX_WAIT_SECONDS))
