"""AppError as JSON: the field's envelope under /api, problem+json under /v1."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions as drf

from marketplace.lib.errors import AppError, InvalidRequest, NotFound, Unauthorized

logger = structlog.get_logger(__name__)


def envelope(error: AppError) -> dict[str, Any]:
    """`{"error": {"code", "message", "metadata"}}` (facts/openrouter.md section 4)."""
    return {
        "error": {
            "code": error.status,
            "message": error.message,
            "metadata": {"error_type": error.kind, **error.metadata},
        }
    }


def problem(error: AppError) -> dict[str, Any]:
    """RFC 9457 members as hosting clients read them: title, status, detail."""
    return {
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        **({"metadata": error.metadata} if error.metadata else {}),
    }


def is_problem_path(path: str) -> bool:
    """Whether a path belongs to the hosting half, whose clients want problem+json."""
    inference = ("/v1/chat/", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")
    return path.startswith("/v1/") and not path.startswith(inference)


def respond(request: HttpRequest, error: AppError) -> JsonResponse:
    """The error's answer in the form of the path."""
    headers = dict(error.headers)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if is_problem_path(request.path):
        return JsonResponse(
            problem(error), status=error.status, headers=headers, content_type="application/problem+json"
        )
    return JsonResponse(envelope(error), status=error.status, headers=headers)


def handle(exc: Exception, context: dict[str, Any]) -> JsonResponse:
    """DRF's exception handler: everything leaves as one of the two forms, nothing leaks."""
    request: HttpRequest = context["request"]._request
    return respond(request, known(exc))


def known(exc: Exception) -> AppError:
    """The AppError that an exception is to the caller; what nobody foresaw is logged and masked."""
    match exc:
        case AppError():
            return exc
        case Http404():
            return NotFound("There is nothing here.")
        case PermissionDenied():
            return AppErrorWithStatus("You may not do this.", HTTPStatus.FORBIDDEN)
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
