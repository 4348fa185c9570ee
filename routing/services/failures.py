"""What a caller is told when no endpoint answered."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marketplace.lib.errors import AppError, InvalidRequest, RateLimited, UpstreamFailed, UpstreamTimeout
from routing.canonical import UpstreamError
from routing.services.routes import Route

ERROR_TYPES: Final = {
    "context_length": "context_length_exceeded",
    "content_policy": "content_policy_violation",
    "invalid": "invalid_request",
}
BROKEN_TYPES: Final = {"timeout": "timeout", "rate_limited": "rate_limit_exceeded"}
HIDDEN: Final = "[hidden]"
BROKEN: Final = "The provider's answer broke off. What had been delivered is charged; ask again for the rest."


def failure(errors: Sequence[tuple[Route, UpstreamError]]) -> AppError:
    """The error for a request whose attempts all failed; the last attempt decides, unless all were alike."""
    route, last = errors[-1]
    kinds = {error.kind for _, error in errors}
    metadata: dict[str, Any] = {
        "provider_name": route.candidate.provider_name,
        "provider_code": last.provider_code,
        "previous_errors": [
            {"provider": tried.candidate.provider_name, "code": error.status or 502, "kind": error.kind}
            for tried, error in errors
        ],
    }
    if last.is_callers:
        # The provider's own words: they speak of this caller's request.
        message = without(last.message, route.target.credentials)
        return InvalidRequest(message, metadata=metadata, error_type=ERROR_TYPES[last.kind])
    if kinds == {"rate_limited"}:
        wait = min((error.retry_after for _, error in errors if error.retry_after is not None), default=1.0)
        seconds = max(1, -(-int(wait * 1000) // 1000))
        metadata["availability"] = _availability("capacity_exhausted", errors) | {"retry_after": seconds}
        message = "Every provider of this model is at its limit. Try again later, or name fallback models."
        return RateLimited(message, metadata=metadata, headers={"Retry-After": str(seconds)})
    metadata["availability"] = _availability("temporarily_unavailable", errors)
    if kinds == {"timeout"}:
        return UpstreamTimeout("No provider of this model answered in time.", metadata=metadata)
    return UpstreamFailed(
        "No provider of this model could answer. Try again, or name fallback models.", metadata=metadata
    )


def without(message: str, credentials: Mapping[str, str]) -> str:
    """A provider's words, without the secrets that it was sent and may have repeated."""
    for secret in credentials.values():
        if secret:
            message = message.replace(secret, HIDDEN)
    return message


def _availability(code: str, errors: Sequence[tuple[Route, UpstreamError]]) -> dict[str, Any]:
    tried = [route.candidate for route, _ in errors]
    return {
        "code": code,
        "retryable": True,
        "requested_models": list(dict.fromkeys(candidate.model for candidate in tried)),
        "affected_providers": list(dict.fromkeys(candidate.provider_name for candidate in tried)),
    }


def broken_metadata(error: UpstreamError) -> dict[str, Any]:
    """The metadata of an error event inside a stream."""
    return {"error_type": BROKEN_TYPES.get(error.kind, "provider_unavailable"), "provider_code": error.provider_code}
