"""Reads a provider's own list of models, in both forms of the public reference. Pure: bytes in, data out.

The flat form is OpenAI's list with prices in dollars per single unit; the other is the provider monitor's schema
(`schema_version` "2.…") with modalities that carry their limits, prices and parameters. An entry that cannot be
sold as it stands says why in `problem`: a price that we do not meter would otherwise be given away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, get_args

from marketplace.catalogue.form import ALIASES, PER_MILLION_TOKENS, PER_ONE, Modality, Quantization
from marketplace.lib import money, tariffs

MOST_ENTRIES: Final = 2_000
# What endpoints may be asked for, by the reference's names.
PARAMETERS: Final = frozenset(
    """
    temperature top_p top_k min_p top_a frequency_penalty presence_penalty repetition_penalty max_tokens
    max_completion_tokens logit_bias logprobs top_logprobs prediction seed response_format structured_outputs stop
    tools tool_choice parallel_tool_calls include_reasoning reasoning reasoning_effort web_search_options verbosity
    """.split()  # noqa: SIM905  a list of quoted words would fill a page
)
# The flat form's features, as the parameters that ask for them.
FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "tools": ("tools", "tool_choice"),
    "json_mode": ("response_format",),
    "structured_outputs": ("response_format", "structured_outputs"),
    "logprobs": ("logprobs", "top_logprobs"),
    "web_search": ("web_search_options",),
    "reasoning": ("reasoning", "include_reasoning"),
}
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
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class BadListing(Exception):
    """The whole list cannot be read; the message says why."""


class _Unsold(Exception):
    """The entry cannot be sold as it stands."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One model as its provider lists it. Prices are nano-USD per million units; `model` is author/slug or empty."""

    upstream: str
    model: str = ""
    name: str = ""
    description: str = ""
    hugging_face_id: str = ""
    context_length: int = 0
    max_output: int | None = None
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    parameters: tuple[str, ...] = ()
    quantization: str = "unknown"
    prices: Mapping[str, int] = field(default_factory=dict)
    is_ready: bool = True
    problem: str = ""
    notes: tuple[str, ...] = ()


def read(body: bytes) -> list[Listed]:
    """The entries, each id once. Raises BadListing; what is wrong with one entry stands in its `problem`."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise BadListing("the answer is no JSON") from None
    rows = data.get("data", data.get("models")) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise BadListing('the answer has no list of models: it wants {"data": [{"id": …}, …]}')
    if len(rows) > MOST_ENTRIES:
        raise BadListing(f"the answer lists {len(rows):,} models: at most {MOST_ENTRIES:,} are read")
    found: dict[str, Listed] = {}
    for row in rows:
        entry = _entry(row)
        if entry is not None:
            found.setdefault(entry.upstream, entry)
    return list(found.values())


def _entry(row: Any) -> Listed | None:
    """One entry; None for what has no usable id."""
    upstream = row.get("id") if isinstance(row, dict) else None
    if not isinstance(upstream, str) or not 0 < len(upstream) <= 200:
        return None
    try:
        if "schema_version" in row:
            if not str(row["schema_version"]).startswith("2."):
                raise _Unsold(f"schema_version {str(row['schema_version'])[:20]!r} is not read here: use 2.4")
            return _monitored(row, upstream)
        return _flat(row, upstream)
    except _Unsold as unsold:
        return Listed(upstream, name=_text(row.get("name"), 200) or upstream, problem=str(unsold))
    except (TypeError, ValueError, AttributeError, ArithmeticError, KeyError):
        return Listed(upstream, name=upstream, problem="the entry has not the form of the reference")


def _flat(row: Mapping[str, Any], upstream: str) -> Listed:
    prices, notes = _flat_prices(row.get("pricing"))
    asked = set(row.get("supported_sampling_parameters") or row.get("supported_parameters") or ())
    for feature in row.get("supported_features") or ():
        asked.update(FEATURES.get(feature, ()))
    length = row.get("context_length") or row.get("max_model_len")
    return _listed(
        row,
        upstream,
        context_length=length,
        max_output=row.get("max_output_length") or (row.get("top_provider") or {}).get("max_completion_tokens"),
        inputs=row.get("input_modalities") or (row.get("architecture") or {}).get("input_modalities") or ["text"],
        outputs=row.get("output_modalities") or (row.get("architecture") or {}).get("output_modalities") or ["text"],
        parameters=asked,
        prices=_discounted(prices, row),
        notes=notes,
    )


def _flat_prices(given: Any) -> tuple[dict[str, int], list[str]]:
    if not isinstance(given, dict) or not given:
        raise _Unsold("no price is listed: set one by hand")
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
        return _settled(table)
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
            raise _Unsold(f"the price {key!r} is of a kind that is not metered here")


def _window(given: Mapping[str, Any]) -> tuple[int, int] | None:
    return (given["utc_start"], given["utc_end"]) if "utc_start" in given or "utc_end" in given else None


def _settled(table: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
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


def _monitored(row: Mapping[str, Any], upstream: str) -> Listed:
    prices: dict[str, int] = {}
    has_conditions = False
    length = output = None
    parameters: set[str] = set()
    for side in ("input", "output"):
        for modality in row[f"{side}_modalities"]:
            kind = f"{side} {modality['type']}"
            has_conditions |= _add_prices(prices, kind, modality.get("pricing") or ())
            limits = modality.get("supported_inputs") or {}
            if kind == "input text":
                length = (limits.get("max_context_length") or limits.get("max_prompt_length") or {}).get("value")
            if kind == "output text":
                output = (modality.get("max_length") or {}).get("value")
                parameters |= set(modality.get("supported_parameters") or ())
    has_conditions |= _add_prices(prices, "root", row.get("pricing") or ())
    if not prices and not row.get("is_free"):
        raise _Unsold("no price is listed: set one by hand")
    prices, notes = _settled(prices)
    return _listed(
        row,
        upstream,
        context_length=length,
        max_output=output,
        inputs=[modality["type"] for modality in row["input_modalities"]],
        outputs=[modality["type"] for modality in row["output_modalities"]],
        parameters=parameters,
        prices=_discounted(prices or {"prompt": 0, "completion": 0}, row),
        notes=[HIGHEST] if has_conditions else notes,
    )


def _add_prices(prices: dict[str, int], kind: str, given: Iterable[Mapping[str, Any]]) -> bool:
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
            raise _Unsold(
                f"the price of {kind}, {line['type']} per {line['unit']}, is of a kind that is not metered here"
            )
    return has_conditions


def _listed(
    row: Mapping[str, Any],
    upstream: str,
    *,
    context_length: Any,
    max_output: Any,
    inputs: Iterable[str],
    outputs: Iterable[str],
    parameters: Iterable[str],
    prices: Mapping[str, int],
    notes: Iterable[str],
) -> Listed:
    length = _positive(context_length)
    if not length:
        raise _Unsold("no context length is listed")
    known = get_args(Modality)
    strange = sorted({one for one in (*inputs, *outputs) if one not in known})
    if strange:
        raise _Unsold(f"the modality {strange[0]!r} is not known here")
    quantization = row.get("quantization") or "unknown"
    return Listed(
        upstream,
        model=_model_name((row.get("openrouter") or {}).get("slug") or upstream),
        name=_text(row.get("name"), 200) or upstream,
        description=_text(row.get("description"), 5_000),
        hugging_face_id=_text(row.get("hugging_face_id"), 200),
        context_length=length,
        max_output=min(_positive(max_output) or length, length) if max_output else None,
        inputs=tuple(dict.fromkeys(inputs)),
        outputs=tuple(dict.fromkeys(outputs)),
        parameters=tuple(sorted(PARAMETERS & set(parameters))),
        quantization=quantization if quantization in get_args(Quantization) else "unknown",
        prices=prices,
        is_ready=row.get("is_ready") is not False,
        notes=tuple(notes),
    )


def _model_name(text: str) -> str:
    """author/slug in our form, or nothing where the text is no such name."""
    author, _, slug = text.lower().partition("/")
    return f"{author}/{slug}" if _SLUG.fullmatch(author) and _SLUG.fullmatch(slug) else ""


def slugified(text: str) -> str:
    """The nearest slug; "model" for a text that has no letter or digit in it."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:64].strip("._-") or "model"


def _discounted(prices: Mapping[str, int], row: Mapping[str, Any]) -> dict[str, int]:
    """Less the discount that the provider gives to users (a negative one is a markup), rounded up."""
    factor = 1 - Decimal(str(row.get("discount_to_user") or 0))
    if factor == 1:
        return dict(prices)
    if factor < 0:
        raise _Unsold("discount_to_user must be less than 1")
    return {unit: int(-(-(nano * factor) // 1)) for unit, nano in prices.items()}


def _dollars(text: Any) -> int:
    """Dollars for a single unit -> nano-USD per million units, rounded up to what we can keep."""
    amount = Decimal(str(text))
    nano = amount * money.NANO * money.PER_MILLION
    if not amount.is_finite() or amount < 0 or nano >= 2**63:
        raise _Unsold(f"{str(text)[:40]!r} is no price in dollars")
    return int(nano.to_integral_value(rounding="ROUND_CEILING"))


def _positive(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0


def _text(value: Any, most: int) -> str:
    return value.replace("\x00", "")[:most] if isinstance(value, str) else ""
