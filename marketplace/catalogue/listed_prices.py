"""The prices in a provider's own list, in both forms of the public reference, as nano-USD per million units. Pure.

A price that we do not meter makes its model Unsold: it would otherwise be given away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from decimal import Decimal
from typing import Any, Final

from marketplace.catalogue.form import ALIASES, PER_MILLION_TOKENS, PER_ONE
from marketplace.lib import money, tariffs

# (side and modality, type of price, unit) of the monitor's schema -> the unit that we meter
METERED: Final[Mapping[tuple[str, str, str], str]] = {
    ("input text", "prompt", "token"): "prompt",
    ("input text", "prompt", "character"): "character",
    ("input text", "cached_prompt", "token"): "cached_read",
    ("input text", "cache_write", "token"): "cached_write",
    ("input image", "prompt", "token"): "image_token",
    ("input image", "prompt", "image"): "image",
    ("input audio", "prompt", "token"): "audio",
    ("input audio", "prompt", "second"): "audio_second",
    ("input video", "prompt", "second"): "video_second",
    ("output text", "completion", "token"): "completion",
    ("output text", "internal_reasoning", "token"): "reasoning",
    ("output embeddings", "completion", "token"): "completion",
    ("output image", "completion", "token"): "image_output",
    ("output audio", "completion", "token"): "audio_output",
    ("output video", "completion", "second"): "video_second",
    ("root", "request", "request"): "request",
    ("root", "web_search", "search"): "web_search",
}
HOUR: Final = 3600
CONDITIONS: Final = frozenset({"min_prompt_tokens", "utc_start", "utc_end"})
HIGHEST: Final = "Of prices under conditions that are not sold here, the highest holds."


class Unsold(Exception):
    """The entry cannot be sold as it stands."""


def flat(given: Any) -> tuple[dict[str, int], list[str]]:
    """What the flat form's `pricing` comes to, and what to tell of it. Raises Unsold."""
    if not isinstance(given, dict) or not given:
        raise Unsold("no price is listed: set one by hand")
    prices = {
        unit: nano
        for unit, nano in _priced(given, besides={"overrides", "discount"})
        if nano or unit in {"prompt", "completion"}
    }
    entries = given.get("overrides") or ()
    found = [
        (one.get("min_prompt_tokens") or 0, _window(one), list(_priced(one, besides=CONDITIONS))) for one in entries
    ]
    table = dict(prices)
    for tokens, window, priced in found:
        for unit, nano in priced:
            table.setdefault(unit, 0)
            table[tariffs.key_of(unit, tariffs.Condition(tokens, window))] = nano
    # The reference lets a later entry count before an earlier one; ours are ranked, so they must stand in that order.
    ranks = [tariffs.Condition(tokens, window).rank for tokens, window, _ in found]
    if ranks == sorted(ranks) and (0, False) not in ranks:
        return settled(table)
    return _highest(table), [HIGHEST]


def _priced(given: Mapping[str, Any], *, besides: Set[str]) -> Iterator[tuple[str, int]]:
    """(unit, nano-USD per million) of the prices in a table; those that are nothing and not known here are left out."""
    for key, text in given.items():
        if key in besides:
            continue
        unit, nano = ALIASES.get(key, key), _dollars(text)
        if unit in PER_MILLION_TOKENS | PER_ONE:
            yield unit, nano
        elif nano:
            raise Unsold(f"the price {key!r} is of a kind that is not metered here")


def _window(given: Mapping[str, Any]) -> tuple[int, int] | None:
    return (given["utc_start"], given["utc_end"]) if "utc_start" in given or "utc_end" in given else None


def settled(table: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """The table and what to tell of it. Windows that fill the day leave no other time: the dearest is the plain price,

    whatever the list says holds now. What ours cannot say costs the highest price throughout.
    """
    found = dict(table)
    for unit in {tariffs.unit_of(key) for key in table}:
        windows = {
            key: condition.window
            for key in table
            if tariffs.unit_of(key) == unit and (condition := tariffs.parse(key)[1]).window
            and not condition.min_prompt_tokens
        }  # fmt: skip
        if windows and tariffs.fills_the_day(window for window in windows.values() if window):
            found[unit] = max(table[key] for key in windows)
            for key in windows:
                if table[key] == found[unit]:
                    del found[key]
    if tariffs.contradictions(found):
        return _highest(table), [HIGHEST]
    return found, []


def _highest(table: Mapping[str, int]) -> dict[str, int]:
    highest: dict[str, int] = {}
    for key, nano in table.items():
        unit = tariffs.unit_of(key)
        highest[unit] = max(highest.get(unit, 0), nano)
    return highest


def add(prices: dict[str, int], kind: str, given: Iterable[Mapping[str, Any]]) -> bool:
    """Add what one modality costs; whether there were conditions that we do not know, of which the highest holds."""
    has_conditions = False
    for line in given:
        texts = [line["cost_usd"], *(one["cost_usd"] for one in line.get("overrides") or ())]
        nano = max(_dollars(text) for text in texts)
        by_day = "utc_days" in line
        has_conditions |= len(texts) > 1 or by_day
        window = None if by_day else _window(line)
        unit = METERED.get((kind, line["type"], line["unit"]))
        if unit == "cached_write" and (line.get("ttl_seconds") or 0) >= HOUR:
            unit = "cached_write_1h"
        if unit is not None:
            key = tariffs.key_of(unit, tariffs.Condition(window=window))
            prices[key] = max(prices.get(key, 0), nano)
        elif nano:
            raise Unsold(
                f"the price of {kind}, {line['type']} per {line['unit']}, is of a kind that is not metered here"
            )
    return has_conditions


def discounted(prices: Mapping[str, int], row: Mapping[str, Any]) -> dict[str, int]:
    """Less the discount that the provider gives to users (a negative one is a markup), rounded up."""
    factor = 1 - Decimal(str(row.get("discount_to_user") or 0))
    if factor == 1:
        return dict(prices)
    if factor < 0:
        raise Unsold("discount_to_user must be less than 1")
    return {unit: int(-(-(nano * factor) // 1)) for unit, nano in prices.items()}


def _dollars(text: Any) -> int:
    """Dollars for a single unit -> nano-USD per million units, rounded up to what we can keep."""
    amount = Decimal(str(text))
    nano = amount * money.NANO * money.PER_MILLION
    if not amount.is_finite() or amount < 0 or nano >= 2**63:
        raise Unsold(f"{str(text)[:40]!r} is no price in dollars")
    return int(nano.to_integral_value(rounding="ROUND_CEILING"))
