"""What the routers of the management API share: the root, its authenticator, its errors, how bodies are read.

The routers are django-ninja's; keys, errors and their forms are those of the inference API, so that a caller
cannot tell which framework answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI, Router
from ninja.errors import HttpError, ValidationError
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from ninja.security import HttpBearer

from marketplace.api import auth
from marketplace.api.errors import AppErrorWithStatus, known, respond
from marketplace.lib.errors import AppError, InvalidRequest
from marketplace.models import ApiKey
from marketplace.services import keys
from marketplace.services.keys import Caller

_MOST = 2**63


class KeyedRequest(HttpRequest):
    """A request that an authenticator below has let in."""

    auth: Caller


class ManagementKey(HttpBearer):
    """Lets in keys with the management scope, and no others: they cannot call models, the others cannot manage."""

    def __call__(self, request: HttpRequest) -> Caller:
        """The caller. Raises Unauthorized or Forbidden."""
        return self.authenticate(request, auth.bearer(request))

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        """The caller behind a key."""
        caller = keys.authenticate(token)
        caller.require(ApiKey.Scope.MANAGEMENT)
        return caller


class AnyKey(ManagementKey):
    """Lets in every living key."""

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        """The caller behind a key."""
        return keys.authenticate(token)


class StrictJson(Parser):
    """JSON as the standard has it: no NaN, no lone surrogates; and nothing that a database gives back otherwise.

    That is NUL, which no column takes, and numbers beyond 64 bits, which come back with hundreds of digits.
    """

    def parse_body(self, request: HttpRequest) -> Any:
        """The decoded body. Raises InvalidRequest."""
        try:
            data = orjson.loads(request.body or b"null")
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"The body is not valid JSON: {error.msg}.") from None
        if not isinstance(data, dict):
            raise InvalidRequest("The body must be a JSON object.")
        _check(data)
        return data


class ExactJson(BaseRenderer):
    """orjson, which writes money's fragments digit by digit (`marketplace.api.amounts`)."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        """The body."""
        return orjson.dumps(data)


class Management(NinjaAPI):
    """The root: operations are named after their functions, everything else is as above."""

    def __init__(self) -> None:
        super().__init__(
            title="Turnpike",
            auth=ManagementKey(),
            parser=StrictJson(),
            renderer=ExactJson(),
            urls_namespace="management",
            openapi_url=None,  # routing.api.document writes one for all three frameworks
            docs_url=None,
        )
        self.add_exception_handler(ValidationError, _invalid)
        self.add_exception_handler(HttpError, _framework)
        self.add_exception_handler(Exception, _any)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's name."""
        return operation.view_func.__name__

    def get_content_type(self) -> str:
        """JSON has no charset to name."""
        return ExactJson.media_type

    def addresses(self) -> list[URLPattern | URLResolver]:
        """The operations' addresses, without the root's own, answering a wrong method in the common form."""
        # Ninja names each method of an address anew; one view answers them all.
        patterns = {
            str(pattern.pattern): pattern
            for pattern in self.urls[0]
            if isinstance(pattern, URLPattern) and pattern.name != "api-root"
        }
        return [
            URLPattern(pattern.pattern, _telling(pattern.callback), pattern.default_args, pattern.name)
            for pattern in patterns.values()
        ]


def root(*routers: tuple[str, Router]) -> Management:
    """The management API made of routers, each with its tag."""
    api = Management()
    for tag, router in routers:
        api.add_router("", router, tags=[tag])
    return api


def _telling(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    @wraps(view)  # keeps the mark that exempts it from the CSRF check
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = view(request, *args, **kwargs)
        if isinstance(answer, HttpResponseNotAllowed):
            allow = answer.headers["Allow"]
            error = AppErrorWithStatus(f"Method {request.method} is not allowed here: use {allow}.", 405)
            error.headers["Allow"] = allow
            return respond(request, error)
        return answer

    return wrapped


def _any(request: HttpRequest, error: Any) -> HttpResponse:
    return respond(request, known(error))


def _framework(request: HttpRequest, error: Any) -> HttpResponse:
    refused: AppError = AppErrorWithStatus(str(error), error.status_code)
    return respond(request, refused)


def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
    problems = [
        {"field": _place(one["loc"]), "problem": one["msg"].removeprefix("Value error, ")} for one in error.errors
    ]
    first = problems[0]
    message = f"'{first['field']}': {first['problem']}." if first["field"] else f"The body: {first['problem']}."
    return respond(request, InvalidRequest(message.replace("..", "."), metadata={"errors": problems}))


def _place(location: tuple[Any, ...]) -> str:
    # ("body", "given", "limit") -> "limit"; ("query", "offset") -> "offset"
    inner = location[2:] if location[:1] == ("body",) else location[1:]
    return ".".join(str(step) for step in inner)


def _check(data: Any) -> None:
    match data:
        case str() if "\x00" in data:
            raise InvalidRequest("The body holds a NUL character (\\u0000): leave it out.")
        case float() if abs(data) >= _MOST:
            raise InvalidRequest("The body holds a number beyond 64 bits: write a smaller one.")
        case list():
            for one in data:
                _check(one)
        case dict():
            for key, value in data.items():
                _check(key)
                _check(value)
