"""What an upstream HTTP status means: whose fault it is, and whether another endpoint may do better."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from routing.canonical import UpstreamError, UpstreamKind

# status -> (kind, whether another endpoint may do better)
STATUSES: Final[Mapping[int, tuple[UpstreamKind, bool]]] = {
    400: ("invalid", False),
    401: ("auth", True),
    402: ("credit", True),
    403: ("auth", True),
    404: ("not_found", True),
    405: ("not_found", True),
    408: ("timeout", True),
    409: ("unavailable", True),
    413: ("context_length", False),
    422: ("invalid", False),
    424: ("unavailable", True),
    429: ("rate_limited", True),
    504: ("timeout", True),
}
# Codes and types of bodies that say more than the status does.
CODES: Final[Mapping[str, UpstreamKind]] = {
    "context_length_exceeded": "context_length",
    "string_above_max_length": "context_length",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "insufficient_quota": "credit",
}
RETRY_AFTER_MAX: Final = 3600.0


def from_status(
    *, status: int, message: str, code: str | None, headers: Mapping[str, str], now: datetime | None = None
) -> UpstreamError:
    """The error for a refused request. Redirects count as a provider's failure: they are never followed."""
    kind, retryable = STATUSES.get(status, ("invalid", False) if 400 <= status < 500 else ("unavailable", True))
    if code is not None and code in CODES and status < 500:
        kind = CODES[code]
        retryable = kind == "credit"
    return UpstreamError(
        message or f"The provider answered with status {status}.",
        kind=kind,
        retryable=retryable,
        status=status,
        retry_after=read_retry_after(headers.get("retry-after"), now=now),
        provider_code=code,
    )


def read_retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None where there is none or it makes no sense."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - (now or datetime.now(UTC))).total_seconds()
        except (TypeError, ValueError):
            return None
    if seconds != seconds or seconds < 0:
        return None
    return min(seconds, RETRY_AFTER_MAX)
