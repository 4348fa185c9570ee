"""AppError as JSON, in the form that callers of the path read."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.views.defaults import page_not_found
from rest_framework import exceptions as drf

from marketplace.lib import envelopes
from marketplace.lib.errors import AppError, InvalidRequest, NotFound, Unauthorized

logger = structlog.get_logger(__name__)


def respond(request: HttpRequest, error: AppError) -> JsonResponse:
    """The error's answer in the form of the path."""
    headers = dict(error.headers)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    form = envelopes.written(error, path=request.path, request_id=request.META.get("TURNPIKE_REQUEST_ID"))
    return JsonResponse(form.body, status=error.status, headers=headers, content_type=form.content_type)


def handle(exc: Exception, context: dict[str, Any]) -> JsonResponse:
    """DRF's exception handler: everything leaves in the form of its path, nothing leaks."""
    request: HttpRequest = context["request"]._request
    if isinstance(exc, drf.MethodNotAllowed):
        ways = ", ".join(one for one in context["view"].allowed_methods if one != "OPTIONS")
        exc = AppErrorWithStatus(f"Method {request.method} is not allowed here: use {ways}.", exc.status_code)
    return respond(request, known(exc))


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address that is not there: in the form of the APIs under theirs and to programs, else as a page."""
    if request.path.startswith(("/api/", "/v1/")) or _is_program(request):
        hint = "".join(f" Did you mean {path}?" for path in _meant(request.path))
        return respond(request, NotFound(f"There is no such address here.{hint} GET /api/docs shows them all."))
    return page_not_found(request, exception)


def _is_program(request: HttpRequest) -> bool:
    """Whether a client with a key or a JSON body asks, whose base URL is probably wrong."""
    return request.headers.get("Authorization", "").startswith("Bearer ") or request.content_type == "application/json"


def _meant(path: str) -> list[str]:
    """The address under the APIs whose end is the same: a base URL that has too much or too little."""
    end = re.sub(r"^(/+(api|v\d\w*))+(?=/)", "", re.sub(r"/+", "/", path)).rstrip("/")
    for prefix in ("/api/v1", "/v1"):
        try:
            resolve(prefix + end)
        except Resolver404:
            continue
        return [prefix + end]
    return []


def known(exc: Exception) -> AppError:
    """The AppError that an exception is to the caller; what nobody foresaw is logged and masked."""
    match exc:
        case AppError():
            return exc
        case Http404():
            return NotFound("There is nothing here.")
        case PermissionDenied():
            return AppErrorWithStatus("You may not do this.", HTTPStatus.FORBIDDEN)
        case DataError() if "NUL (0x00)" in str(exc):
            return InvalidRequest("The request holds a NUL character (\\u0000, %00): leave it out.")
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return Unauthorized(str(exc.detail))
        case drf.ParseError() | drf.ValidationError():
            return InvalidRequest(str(exc.detail))
        case drf.APIException():
            return AppErrorWithStatus(str(exc.detail), exc.status_code)
    logger.exception("unhandled_error", exc_info=exc)
    return AppError("Something went wrong on our side; it has been logged with this request's id.")


class AppErrorWithStatus(AppError):
    """An error of the framework that keeps its own status (405, 406, 415 …)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[misc]  # one status for each instance here
        self.kind = "invalid_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server"
