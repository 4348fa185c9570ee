"""How endpoints did lately, for people and for the API: of the calls of this web process."""

from collections.abc import Sequence
from dataclasses import dataclass

from routing.selection.history import Summary
from routing.services.health import HEALTH


@dataclass(frozen=True, slots=True)
class Measured:
    """One endpoint over five minutes, half an hour and a day."""

    last_5m: Summary
    last_30m: Summary
    last_1d: Summary


def of(endpoint_ids: Sequence[int]) -> dict[int, Measured]:
    """Those of the endpoints that have been called."""
    short = HEALTH.summaries(endpoint_ids, seconds=300)
    half = HEALTH.summaries(endpoint_ids, seconds=1_800)
    day = HEALTH.summaries(endpoint_ids, seconds=86_400)
    return {pk: Measured(short[pk], half[pk], day[pk]) for pk in short if pk in half and pk in day}
