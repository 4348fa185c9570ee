"""Reads the query of GET /models: every filter and sort of the reference that this installation has data for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from marketplace.api.described import COUNT, TEXT, Schema
from marketplace.catalogue.form import Category, Modality
from marketplace.lib import money
from marketplace.lib.errors import InvalidRequest
from routing.services.catalogue import SORTS, Span, Wanted

DEFAULT_LIMIT: Final = 500
MOST: Final = 1_000
INDICES: Final = ("intelligence", "coding", "agentic")
# In the reference, and nothing here measures it: a filter that quietly did nothing would answer wrongly.
NOT_MEASURED: Final = ("min_tool_success_rate", "max_tool_success_rate")
_NUMBER: Final[Schema] = {"type": "number", "minimum": 0}
# What the OpenAPI document says of all this.
FILTERS: Final[dict[str, Schema]] = {
    "q": TEXT,
    "supported_parameters": TEXT,
    "input_modalities": TEXT,
    "output_modalities": TEXT,
    "model_authors": TEXT,
    "providers": TEXT,
    "category": {"enum": list(get_args(Category))},
    "arch": TEXT,
    "region": {"enum": ["eu", "us"]},
    "zdr": {"enum": ["true", "false"]},
    "distillable": {"enum": ["true", "false"]},
    "context": COUNT,
    **{f"{bound}_{name}": _NUMBER for name in ("price", "output_price", "age_days") for bound in ("min", "max")},
    **{f"{bound}_{name}_index": _NUMBER for name in INDICES for bound in ("min", "max")},
    "sort": {"enum": list(SORTS)},
}
PAGES: Final[dict[str, Schema]] = {"offset": COUNT, "limit": {"type": "integer", "minimum": 1, "maximum": MOST}}
FEED: Final[dict[str, Schema]] = {"use_rss": TEXT, "use_rss_chat_links": TEXT}


@dataclass(frozen=True, slots=True)
class Slice:
    """Which of the matching rows are asked for; `limit` None is all of them."""

    offset: int = 0
    limit: int | None = None


def wanted(query: Mapping[str, str]) -> Wanted:
    """The filters. Raises InvalidRequest that names the field and what it takes."""
    for name in NOT_MEASURED:
        if query.get(name):
            raise _bad(name, f"'{name}' is not measured by this installation: leave it out.")
    outputs = _modalities(query, "output_modalities", "all") or frozenset({"text"})
    distillable = _choice(query, "distillable", ("true", "false"))
    return Wanted(
        text=query.get("q", ""),
        inputs=_modalities(query, "input_modalities"),
        outputs=frozenset() if "all" in outputs else outputs,
        parameters=_words(query, "supported_parameters"),
        authors=_words(query, "model_authors"),
        providers=_words(query, "providers"),
        category=_choice(query, "category", get_args(Category)),
        family=query.get("arch", "").lower(),
        region=_choice(query, "region", ("eu", "us")),
        zdr=_choice(query, "zdr", ("true", "false")) == "true",
        distillable=None if not distillable else distillable == "true",
        least_context=whole(query, "context", 0, 10**12),
        prompt=Span(_dollars(query, "min_price"), _dollars(query, "max_price")),
        completion=Span(_dollars(query, "min_output_price"), _dollars(query, "max_output_price")),
        age_days=Span(_decimal(query, "min_age_days"), _decimal(query, "max_age_days")),
        indices={
            name: Span(_decimal(query, f"min_{name}_index"), _decimal(query, f"max_{name}_index")) for name in INDICES
        },
    )


def sort(query: Mapping[str, str]) -> str:
    """The order. Raises InvalidRequest."""
    return _choice(query, "sort", tuple(SORTS)) or "newest"


def page(query: Mapping[str, str]) -> Slice:
    """Rows are dealt out in pages only when offset or limit is given. Raises InvalidRequest."""
    if not query.get("offset") and not query.get("limit"):
        return Slice()
    return Slice(whole(query, "offset", 0, 10**9), whole(query, "limit", DEFAULT_LIMIT, MOST, least=1))


def whole(query: Mapping[str, str], name: str, default: int, most: int, *, least: int = 0) -> int:
    """A whole number. Raises InvalidRequest."""
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not least <= int(text) <= most:
        raise _bad(name, f"'{name}' must be a whole number from {least} to {most}.")
    return int(text)


def _words(query: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in query.get(name, "").split(",") if word.strip())


def _modalities(query: Mapping[str, str], name: str, *more: str) -> frozenset[str]:
    given = _words(query, name)
    known = (*get_args(Modality), *more)
    if strange := sorted(given.difference(known)):
        raise _bad(name, f"'{name}' has {', '.join(strange)}, but takes {', '.join(known)}.")
    return given


def _choice(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    given = query.get(name, "")
    if given and given not in choices:
        raise _bad(name, f"'{name}' must be one of {', '.join(choices)}.")
    return given


def _decimal(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise _bad(name, f"'{name}' must be a number, 0 or more.")
    return number


def _dollars(query: Mapping[str, str], name: str) -> int | None:
    """Dollars per million tokens -> nano-USD per million tokens."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        nano = money.price_per_million(text)
    except money.BadAmount as error:
        raise _bad(name, f"'{name}': {error}") from None
    if nano < 0:
        raise _bad(name, f"'{name}' must be dollars per million tokens, 0 or more.")
    return nano


def _bad(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, metadata={"field": name})
