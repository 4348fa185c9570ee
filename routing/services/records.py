"""Reading what was routed, for people: one generation, why its provider, what it cost line by line."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from billing.models import Charge
from billing.rating import Line
from marketplace.lib import ids
from marketplace.lib.errors import NotFound
from routing.models import Attempt, Generation

REASONS: Final = {
    "": "Answered",
    "rate_limited": "Too many requests for now",
    "unavailable": "Not available",
    "timeout": "Silent for too long",
    "cut": "Broke the connection",
    "malformed": "Sent what is no answer",
    "auth": "Refused our credentials",
    "credit": "Our credit there has run out",
    "not_found": "Does not know the model",
    "invalid": "Refused the request",
    "context_length": "Request longer than its context",
    "content_policy": "Refused the content",
    "refused_address": "Its address may not be called",
}


def generation(*, account_id: int, public_id: str) -> Generation:
    """A generation of the account by its public id or its UUID. Raises NotFound, also for a stranger's."""
    try:
        wanted = ids.parse_generation_id(public_id) if public_id.startswith("gen-") else UUID(public_id)
    except ValueError:
        raise NotFound(f"There is no generation {public_id[:80]}.") from None
    rows = Generation.objects.for_account(account_id).select_related("key", "provider")
    found = rows.filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"There is no generation {public_id[:80]}.")
    return found


def reason(attempt: Attempt) -> str:
    """What came of an attempt, in words."""
    said = REASONS.get(attempt.error_kind, attempt.error_kind.replace("_", " ").capitalize())
    return f"{said} ({attempt.status_code})" if attempt.error_kind and attempt.status_code else said


def cost_lines(found: Generation) -> list[Line]:
    """The lines that make up its charge; empty when nothing was charged."""
    row = Charge.objects.for_account(found.account_id).filter(kind=found.operation, reference=str(found.pk)).first()
    if row is None:
        return []
    return [
        Line(unit=unit, quantity=int(count), nano_per_million=int(row.prices.get(unit, 0)))
        for unit, count in row.quantities.items()
        if count
    ]
