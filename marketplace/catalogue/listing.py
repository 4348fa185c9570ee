"""Reads a provider's own list of models, in both forms of the public reference. Pure: bytes in, data out.

The flat form is OpenAI's list with prices in dollars per single unit; the other is the provider monitor's schema
(`schema_version` "2.…") with modalities that carry their limits, prices and parameters. An entry that cannot be
sold as it stands says why in `problem`: a price that we do not meter would otherwise be given away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from marketplace.catalogue import listed_prices
from marketplace.catalogue.form import Modality, Quantization
from marketplace.catalogue.listed_prices import HIGHEST, Unsold

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
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class BadListing(Exception):
    """The whole list cannot be read; the message says why."""


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
                raise Unsold(f"schema_version {str(row['schema_version'])[:20]!r} is not read here: use 2.4")
            return _monitored(row, upstream)
        return _flat(row, upstream)
    except Unsold as unsold:
        return Listed(upstream, name=_text(row.get("name"), 200) or upstream, problem=str(unsold))
    except (TypeError, ValueError, AttributeError, ArithmeticError, KeyError):
        return Listed(upstream, name=upstream, problem="the entry has not the form of the reference")


def _flat(row: Mapping[str, Any], upstream: str) -> Listed:
    prices, notes = listed_prices.flat(row.get("pricing"))
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
        prices=listed_prices.discounted(prices, row),
        notes=notes,
    )


def _monitored(row: Mapping[str, Any], upstream: str) -> Listed:
    prices: dict[str, int] = {}
    has_conditions = False
    length = output = None
    parameters: set[str] = set()
    for side in ("input", "output"):
        for modality in row[f"{side}_modalities"]:
            kind = f"{side} {modality['type']}"
            has_conditions |= listed_prices.add(prices, kind, modality.get("pricing") or ())
            limits = modality.get("supported_inputs") or {}
            if kind == "input text":
                length = (limits.get("max_context_length") or limits.get("max_prompt_length") or {}).get("value")
            if kind == "output text":
                output = (modality.get("max_length") or {}).get("value")
                parameters |= set(modality.get("supported_parameters") or ())
    has_conditions |= listed_prices.add(prices, "root", row.get("pricing") or ())
    if not prices and not row.get("is_free"):
        raise Unsold("no price is listed: set one by hand")
    prices, notes = listed_prices.settled(prices)
    return _listed(
        row,
        upstream,
        context_length=length,
        max_output=output,
        inputs=[modality["type"] for modality in row["input_modalities"]],
        outputs=[modality["type"] for modality in row["output_modalities"]],
        parameters=parameters,
        prices=listed_prices.discounted(prices or {"prompt": 0, "completion": 0}, row),
        notes=[HIGHEST] if has_conditions else notes,
    )


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
        raise Unsold("no context length is listed")
    known = get_args(Modality)
    strange = sorted({one for one in (*inputs, *outputs) if one not in known})
    if strange:
        raise Unsold(f"the modality {strange[0]!r} is not known here")
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


def _positive(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0


def _text(value: Any, most: int) -> str:
    return value.replace("\x00", "")[:most] if isinstance(value, str) else ""
