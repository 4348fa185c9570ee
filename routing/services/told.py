"""What a caller who asks for it is told of the routing: who could have answered, who was tried, who did."""

from collections.abc import Mapping, Sequence
from typing import Any

from routing.canonical import Routed
from routing.models import Attempt
from routing.services.admission import Try
from routing.services.settlement import Tried

FAILED = 502  # of an attempt that got no status
OUTRUN = 499  # of one that was canceled, as another that was asked beside it had answered


def tell(*, request: Routed, tries: Sequence[Try], tried: Sequence[Tried], choice: Mapping[str, Any]) -> dict[str, Any]:
    """The reference's `openrouter_metadata`; the last of `tried` is selected where it answered."""
    answered = tried[-1].route if tried and not tried[-1].error_kind else None
    available = [
        {
            "provider": one.route.candidate.provider_name,
            "model": one.route.candidate.model,
            "selected": answered is not None and one.route.candidate.endpoint_id == answered.candidate.endpoint_id,
        }
        for one in tries
    ]
    attempts = [
        {
            "provider": one.route.candidate.provider_name,
            "model": one.route.candidate.model,
            "status": _status(one),
        }
        for one in tried
    ]
    selected = answered.candidate.provider_name if answered else "none"
    return {
        "requested": request.model or request.wanted_models[0],
        "strategy": choice.get("strategy", "direct"),
        "region": None,
        "summary": ", ".join(filter(None, (f"available={len(available)}, selected={selected}", choice.get("reason")))),
        "attempt": len(attempts),
        "is_byok": answered is not None and answered.is_own,
        "endpoints": {"total": len(available), "available": available},
        "attempts": attempts,
    }


def _status(one: Tried) -> int:
    if one.error_kind == Attempt.OUTRUN:
        return OUTRUN
    return (one.status_code or FAILED) if one.error_kind else 200
