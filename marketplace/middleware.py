"""Middleware of ours. Each runs on the event loop as it is: one that is synchronous only would
hold a thread for as long as its request waits (docs/decisions/0003-one-thread-pool.md)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from marketplace.lib import ids

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_RULES = (
    "default-src 'self'",
    "media-src 'self' data: blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)


def policy(*form_targets: str, pictures: str = "") -> str:
    """The policy of a page whose forms may lead to these origins and pictures come from there, beside our own."""
    images = " ".join(filter(None, ("img-src 'self' data: blob:", pictures)))
    return "; ".join((*_RULES, images, " ".join(("form-action 'self'", *form_targets))))


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


class _OnTheLoop(MiddlewareMixin):
    """Django's own steps, on the event loop: for each of them Django would go to a thread and come back.

    Six of them do so twice for every request. None reads or writes anything outside of the request's memory, but for
    those answers of which `must_hop` says so.
    """

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        before, after = getattr(self, "process_request", None), getattr(self, "process_response", None)
        response: HttpResponseBase | None = before(request) if before else None
        if response is None:
            response = await self.get_response(request)  # type: ignore[misc]  # a coroutine in this mode
        if after is None:
            return response
        finish = sync_to_async(after, thread_sensitive=True) if self.must_hop(request) else None
        finished: HttpResponseBase = await finish(request, response) if finish else after(request, response)
        return finished

    def must_hop(self, request: HttpRequest) -> bool:
        """Whether this request's answer has something to be stored."""
        return False


class Security(_OnTheLoop, SecurityMiddleware):
    """Headers and the redirect to https."""


class Sessions(_OnTheLoop, SessionMiddleware):
    """The session, which nobody has read yet; a changed one is written to the database."""

    def must_hop(self, request: HttpRequest) -> bool:
        """Whether it was changed."""
        return bool(request.session.modified)


class Common(_OnTheLoop, CommonMiddleware):
    """Slashes and lengths."""


class Csrf(_OnTheLoop, CsrfViewMiddleware):
    """The token of forms. To look for it in a form is to read the form, which may be long."""

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response)
        if self.async_mode:
            self.process_view = self._process_view  # type: ignore[method-assign,assignment]

    async def _process_view(
        self, request: HttpRequest, callback: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        check = super().process_view
        if request.method in ("GET", "HEAD", "OPTIONS", "TRACE") or getattr(callback, "csrf_exempt", False):
            return check(request, callback, args, kwargs)
        return await sync_to_async(check, thread_sensitive=True)(request, callback, args, kwargs)


class Authentication(_OnTheLoop, AuthenticationMiddleware):
    """`request.user`, found when it is first asked for."""


class Messages(_OnTheLoop, MessageMiddleware):
    """What the next page says; kept in a cookie, or in the session."""

    def must_hop(self, request: HttpRequest) -> bool:
        """Whether some were shown or added."""
        kept = getattr(request, "_messages", None)
        return bool(getattr(kept, "used", False) or getattr(kept, "added_new", False))


class Frames(_OnTheLoop, XFrameOptionsMiddleware):
    """No page of ours inside of another's."""


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
