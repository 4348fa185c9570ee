"""The errors that callers see: each says its HTTP status and its canonical type.

The vocabulary of `error_type` is OpenRouter's (facts/openrouter.md section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AppError(Exception):
    """Something that the caller can be told: status, type, a message that says what to change.

    `metadata` goes out as it is, so it must never carry keys, stack traces or a stranger's data.
    """

    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "server"

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        error_type: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.headers: dict[str, str] = dict(headers or {})
        self.offered: dict[str, Any] = {}  # what may stand beside the error, where its caller asks for it
        self.beside: dict[str, Any] = {}  # what does
        self.kind: str = error_type or type(self).error_type


class InvalidRequest(AppError):
    """400: the request cannot be understood or asks for something that does not exist."""

    status = 400
    error_type = "invalid_request"


class Unauthorized(AppError):
    """401: no key, or one that is not valid (any more)."""

    status = 401
    error_type = "authentication"


class PaymentRequired(AppError):
    """402: the wallet or a key's limit does not cover the request."""

    status = 402
    error_type = "payment_required"


class Forbidden(AppError):
    """403: known, but not allowed."""

    status = 403
    error_type = "permission_denied"


class NotFound(AppError):
    """404: not there, or not the caller's to see."""

    status = 404
    error_type = "not_found"


class Conflict(AppError):
    """409: the same thing is under way or already done differently."""

    status = 409
    error_type = "conflict"


class PayloadTooLarge(AppError):
    """413: larger than a limit, which the message names."""

    status = 413
    error_type = "payload_too_large"


class Unprocessable(AppError):
    """422: well-formed, but the values do not fit."""

    status = 422
    error_type = "unprocessable"


class RateLimited(AppError):
    """429: too many requests for now."""

    status = 429
    error_type = "rate_limit_exceeded"


class UpstreamFailed(AppError):
    """502: every provider tried answered wrongly."""

    status = 502
    error_type = "provider_unavailable"


class Unavailable(AppError):
    """503: nothing can serve this at the moment; trying again later is of use."""

    status = 503
    error_type = "provider_overloaded"


class UpstreamTimeout(AppError):
    """504: no provider answered in time."""

    status = 504
    error_type = "timeout"
