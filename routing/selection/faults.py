"""Whose fault a failed attempt is, which decides what is learned from it."""

from typing import Final, Literal

from routing.canonical import UpstreamError

Fault = Literal["caller", "key", "capacity", "endpoint"]

# The endpoint is well and had too much to do, or says so.
CAPACITY_STATUSES: Final = frozenset({408, 409, 425, 429})
# Credentials, credit, address or model name: no retry mends them, somebody has to.
KEY_KINDS: Final = frozenset({"auth", "credit", "not_found", "refused_address"})


def fault_of(error: UpstreamError) -> Fault:
    """Whose fault it is: the caller's teaches nothing, a key's shuts the endpoint off at once and for longer."""
    if error.is_callers:
        return "caller"
    if error.kind == "rate_limited" or error.status in CAPACITY_STATUSES:
        return "capacity"
    if error.kind in KEY_KINDS:
        return "key"
    return "endpoint"
