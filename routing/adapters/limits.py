"""What a provider's answer says of its rate limit: how many requests are left, and how fast they come back. Pure.

OpenAI and its alikes say `x-ratelimit-{limit,remaining,reset}-requests`, the reset as a duration (`12ms`, `6m0s`)
until all are back; Anthropic says `anthropic-ratelimit-requests-{limit,remaining,reset}`, a minute's worth, the
reset as a time of day that is cut to whole seconds. A limit's period is not said, and is not always a minute:
Groq counts requests by the day under OpenAI's names. What has been used and how long it takes to come back is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_OPENAI: Final = "x-ratelimit-{}-requests"
_ANTHROPIC: Final = "anthropic-ratelimit-requests-{}"
HEADERS: Final = (
    *(_OPENAI.format(what) for what in ("limit", "remaining", "reset")),
    *(_ANTHROPIC.format(what) for what in ("limit", "remaining")),
)
MINUTE: Final = 60.0
MOST: Final = 1e9
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests are `left` now, of `most` at once, and `per_second` come back."""

    left: float
    most: float
    per_second: float


def read_limit(headers: Mapping[str, str]) -> Limit | None:
    """The limit that an answer's headers (lower-case names) tell of; None where they tell none that makes sense."""
    most = _number(headers.get(_OPENAI.format("limit")))
    left = _number(headers.get(_OPENAI.format("remaining")))
    if most is not None and left is not None:
        whole = duration(headers.get(_OPENAI.format("reset")))
        if whole and most > left:
            return Limit(left, most, (most - left) / whole)
        return None
    most = _number(headers.get(_ANTHROPIC.format("limit")))
    left = _number(headers.get(_ANTHROPIC.format("remaining")))
    if most is not None and left is not None and most >= left:
        return Limit(left, most, most / MINUTE)
    return None


def duration(value: str | None) -> float | None:
    """Seconds from `12ms`, `1m30.5s`, `2h` or a plain number of them; None for anything else."""
    if not value:
        return None
    value = value.strip()
    if (plain := _number(value)) is not None:
        return plain
    parts = _PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number <= MOST else None
