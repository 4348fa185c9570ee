"""Errors in the words of whoever is asked: which form a path's callers read, and the four forms.

Pure, so that the layer that refuses a body before Django has seen it writes the same as a view.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from marketplace.lib.errors import AppError

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
INFERENCE: Final = ("chat/", "completions", "responses", "messages", "embeddings", "audio/", "images/")

TITLES: Final = {413: "Payload too large"}  # its standard phrase changes from one Python to the next
# Anthropic's word for a status; what is missing is the server's fault from 500 on, else the request's.
MESSAGES_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Google's word for a status, as its clients read it.
GOOGLE_STATUSES: Final[Mapping[int, str]] = {
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
GOOGLE_PATH: Final = re.compile(r"/api/(v1beta/|v1/models/.+:\w+$)")


@dataclass(frozen=True, slots=True)
class Written:
    """An error's body, to be dumped as JSON, and its media type."""

    body: dict[str, Any]
    content_type: str = JSON


def written(error: AppError, *, path: str, request_id: str | None = None) -> Written:
    """The error as callers of this path read errors."""
    if is_messages_path(path):
        return Written(messages(error, request_id=request_id))
    if GOOGLE_PATH.match(path):
        return Written(google(error))
    if path.startswith("/api/v2/"):
        return Written(cohere(error, request_id=request_id))
    if path.startswith("/v1/") and not path.startswith(tuple(f"/v1/{name}" for name in INFERENCE)):
        return Written(problem(error), PROBLEM)
    if path.removeprefix("/api").startswith("/v1/responses"):
        return Written(envelope(error) | {"error_type": error.kind})
    return Written(envelope(error))


def cohere(error: AppError, *, request_id: str | None = None) -> dict[str, Any]:
    """`{"id", "message"}` as Cohere's clients read errors; what else is known stands beside it."""
    return {"id": request_id, "message": error.message, "error_type": error.kind, "metadata": error.metadata}


def is_messages_path(path: str) -> bool:
    """Whether Anthropic's clients ask here."""
    return path.removeprefix("/api").startswith("/v1/messages")


def envelope(error: AppError) -> dict[str, Any]:
    """`{"error": {"code", "message", "metadata"}}`, and `availability` where it is that which is wanting."""
    availability = {name: error.metadata[name] for name in ("availability",) if name in error.metadata}
    return {
        "error": {
            "code": error.status,
            "message": error.message,
            "metadata": {"error_type": error.kind, **error.metadata},
            **availability,
        },
        **error.beside,
    }


def problem(error: AppError) -> dict[str, Any]:
    """RFC 9457 members as hosting clients read them: title, status, detail."""
    return {
        "title": TITLES.get(error.status) or HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        **({"metadata": error.metadata} if error.metadata else {}),
    }


def messages(error: AppError, *, request_id: str | None = None) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message", "error_type"}}` as Anthropic's clients read errors."""
    return {
        "type": "error",
        "error": messages_error(status=error.status, message=error.message, error_type=error.kind),
        "request_id": request_id,
        **({"metadata": error.metadata} if error.metadata else {}),
        **error.beside,
    }


def messages_error(*, status: int, message: str, error_type: str) -> dict[str, Any]:
    """The inner object of Anthropic's form, also inside a stream's error event."""
    rest = "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return {"type": MESSAGES_TYPES.get(status, rest), "message": message, "error_type": error_type}


def google(error: AppError) -> dict[str, Any]:
    """`{"error": {"code", "message", "status", "details"}}` as Google's clients read errors."""
    written = google_error(status=error.status, message=error.message, error_type=error.kind)
    if seconds := error.headers.get("Retry-After"):
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        written["details"].append({"@type": kind, "retryDelay": f"{seconds}s"})
    return {"error": written | ({"metadata": error.metadata} if error.metadata else {}), **error.beside}


def google_error(*, status: int, message: str, error_type: str) -> dict[str, Any]:
    """The inner object of Google's form, also inside a stream."""
    rest = "INTERNAL" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "INVALID_ARGUMENT"
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error_type.upper(), "domain": "turnpike"}
    return {
        "code": status,
        "message": message,
        "status": GOOGLE_STATUSES.get(status, rest),
        "details": [info],
        "error_type": error_type,
    }
