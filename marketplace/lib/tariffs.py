"""Prices under a condition: above a number of prompt tokens, within a daily window of UTC. Pure.

A price table maps keys to nano-USD per million units. A plain key is the unit; a condition follows it:
`prompt>200000` holds for requests of more than 200,000 prompt tokens, `prompt@1630-0030` from 16:30 until 00:30 UTC,
`prompt@1630-0030>200000` when both are so. Of the prices that apply, that of the highest threshold holds, and at one
threshold that of a window; what has no such price keeps the plain one.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import Final

MOST_TOKENS: Final = 10_000_000
MINUTES: Final = 24 * 60
_KEY: Final = re.compile(r"([a-z_0-9]+)(?:@(\d{4})-(\d{4}))?(?:>(\d{1,8}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """When a price holds: strictly above a number of prompt tokens, from one UTC clock time (HHMM) until another."""

    min_prompt_tokens: int = 0
    window: tuple[int, int] | None = None

    def holds(self, *, prompt_tokens: int, minute: int) -> bool:
        """Whether it does, for a request of so many tokens at a minute of the UTC day."""
        if self.min_prompt_tokens and prompt_tokens <= self.min_prompt_tokens:
            return False
        if self.window is None:
            return True
        start, end = map(_minute, self.window)
        return start <= minute < end if start < end else minute >= start or minute < end

    @property
    def rank(self) -> tuple[int, bool]:
        """Of two that hold, the higher one counts."""
        return self.min_prompt_tokens, self.window is not None

    def overlaps(self, other: Condition) -> bool:
        """Whether both can hold at one rank, so that neither would count before the other."""
        if self.rank != other.rank:
            return False
        return any(
            all(one.holds(prompt_tokens=MOST_TOKENS + 1, minute=minute) for one in (self, other))
            for minute in _starts((self, other))
        )

    def __str__(self) -> str:
        parts = [f"above {self.min_prompt_tokens:,} prompt tokens"] if self.min_prompt_tokens else []
        if self.window:
            start, end = self.window
            parts.append(f"{start // 100:02}:{start % 100:02} to {end // 100:02}:{end % 100:02} UTC")
        return ", ".join(parts)


ALWAYS: Final = Condition()


def key_of(unit: str, condition: Condition) -> str:
    """The key of a unit's price under a condition."""
    window = "" if condition.window is None else f"@{condition.window[0]:04}-{condition.window[1]:04}"
    return f"{unit}{window}{f'>{condition.min_prompt_tokens}' if condition.min_prompt_tokens else ''}"


@lru_cache(maxsize=4096)
def parse(key: str) -> tuple[str, Condition]:
    """A key's unit and condition. Raises ValueError for what is no key, no clock time or no threshold."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError(f"{key[:60]!r} is no price key: write prompt, prompt>200000 or prompt@1630-0030")
    unit, start, end, tokens = found.groups()
    window = None if start is None else (int(start), int(end))
    if window is not None and (window[0] == window[1] or any(one % 100 > 59 or one > 2359 for one in window)):
        raise ValueError(f"{key[:60]!r}: a window goes from one time of day to another, such as @1630-0030")
    if tokens is not None and not 0 < int(tokens) <= MOST_TOKENS:
        raise ValueError(f"{key[:60]!r}: a threshold is between 1 and {MOST_TOKENS:,} prompt tokens")
    return unit, Condition(int(tokens or 0), window)


def unit_of(key: str) -> str:
    """The unit that a key prices."""
    return parse(key)[0]


def is_conditional(table: Iterable[str]) -> bool:
    """Whether any key of a table has a condition."""
    return any(">" in key or "@" in key for key in table)


def minute_of(moment: dt.datetime) -> int:
    """The minute of the UTC day."""
    at = moment.astimezone(dt.UTC)
    return at.hour * 60 + at.minute


def applicable(table: Mapping[str, int], *, prompt_tokens: int, minute: int) -> Mapping[str, int]:
    """Unit -> price, as it holds for one request; a table without conditions comes back as it is."""
    if not is_conditional(table):
        return table
    found: dict[str, tuple[tuple[int, bool], int]] = {}
    for key, nano in table.items():
        unit, condition = parse(key)
        if not condition.holds(prompt_tokens=prompt_tokens, minute=minute):
            continue
        if unit not in found or condition.rank > found[unit][0]:
            found[unit] = (condition.rank, nano)
    return {unit: nano for unit, (_, nano) in found.items()}


def dearest(table: Mapping[str, int], *, prompt_tokens: int) -> Mapping[str, int]:
    """Unit -> the most that it can cost a request of at most so many prompt tokens, at any time of day."""
    if not is_conditional(table):
        return table
    found: dict[str, int] = {}
    for key, nano in table.items():
        unit, condition = parse(key)
        if prompt_tokens > condition.min_prompt_tokens or not condition.min_prompt_tokens:
            found[unit] = max(found.get(unit, 0), nano)
    return found


def plain(table: Mapping[str, int]) -> dict[str, int]:
    """The prices that hold where no condition does."""
    return {key: nano for key, nano in table.items() if parse(key)[1] == ALWAYS}


def overrides(table: Mapping[str, int]) -> list[tuple[Condition, dict[str, int]]]:
    """Condition -> unit -> price, so ordered that of those that hold the later one counts."""
    found: dict[Condition, dict[str, int]] = {}
    for key, nano in table.items():
        unit, condition = parse(key)
        if condition != ALWAYS:
            found.setdefault(condition, {})[unit] = nano
    return sorted(found.items(), key=lambda item: (item[0].rank, item[0].window or (0, 0)))


def contradictions(table: Iterable[str]) -> list[str]:
    """What is wrong with a table's keys as a whole: a condition without a plain price, windows that overlap."""
    by_unit: dict[str, list[Condition]] = {}
    for key in table:
        unit, condition = parse(key)
        by_unit.setdefault(unit, []).append(condition)
    problems = []
    for unit, conditions in by_unit.items():
        if ALWAYS not in conditions:
            problems.append(f"{unit}: name the price that holds otherwise, too")
        for one, two in combinations(conditions, 2):
            if one != two and one.overlaps(two):
                problems.append(f"{unit}: two prices hold at once: {one}; {two}")
    return problems


def fills_the_day(windows: Iterable[tuple[int, int]]) -> bool:
    """Whether there is no minute outside of all windows."""
    conditions = [Condition(window=window) for window in windows]
    return all(
        any(one.holds(prompt_tokens=0, minute=minute) for one in conditions) for minute in {0, *_starts(conditions)}
    )


def situations(*tables: Iterable[str]) -> Iterator[tuple[int, int]]:
    """(prompt tokens, minute of the day) of a request in each situation that these tables tell apart."""
    conditions = [parse(key)[1] for table in tables for key in table]
    tokens = sorted({0, *(one.min_prompt_tokens + 1 for one in conditions if one.min_prompt_tokens)})
    yield from product(tokens, sorted({0, *_starts(conditions)}))


def _starts(conditions: Iterable[Condition]) -> set[int]:
    """Every minute at which something begins or ends: between two of them nothing changes."""
    return {_minute(edge) for one in conditions if one.window for edge in one.window}


def _minute(clock: int) -> int:
    return clock // 100 * 60 + clock % 100
