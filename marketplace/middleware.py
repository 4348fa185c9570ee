"""Middleware of ours. Each runs on the event loop as it is: one that is synchronous only would
hold a thread for as long as its request waits (docs/decisions/0003-one-thread-pool.md)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from marketplace.lib import ids

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_RULES = (
    "default-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)


def policy(*form_targets: str) -> str:
    """The policy of a page whose forms may lead to these origins beside our own."""
    return "; ".join((*_RULES, " ".join(("form-action 'self'", *form_targets))))


class _AroundTheView:
    """What Django wants of a middleware that handles synchronous and asynchronous handlers."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        self.before(request)
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseBase):
            self.after(request, answer)
            return answer
        return self._finish(request, answer)

    async def _finish(self, request: HttpRequest, answer: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        response = await answer
        self.after(request, response)
        return response

    def before(self, request: HttpRequest) -> None:
        """What is done before the view."""

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """What is done to the answer."""


class RequestId(_AroundTheView):
    """Gives each request an id (the caller's own where it is sound), in its logs and its answer."""

    def before(self, request: HttpRequest) -> None:
        """Choose the id and bind it to this request's log lines."""
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req-{ids.random_token(20)}"
        request.META["TURNPIKE_REQUEST_ID"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Say the id."""
        response.headers["X-Request-Id"] = request.META["TURNPIKE_REQUEST_ID"]


class ContentSecurityPolicy(_AroundTheView):
    """Only our own scripts, styles and connections; a page may set its own policy instead."""

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Add the header to pages."""
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", policy())


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise ships no types
    """WhiteNoise for async handlers: our static files are opened on the loop, all else passes untouched."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response, settings)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if not iscoroutinefunction(self.get_response):
            answer: HttpResponseBase = super().__call__(request)
            return answer
        return self._async(request)

    async def _async(self, request: HttpRequest) -> HttpResponseBase:
        static_file = self.find_file(request.path_info) if self.autorefresh else self.files.get(request.path_info)
        if static_file is None:
            passed: HttpResponseBase = await self.get_response(request)
            return passed
        served: HttpResponseBase = self.serve(static_file, request)
        return served
