"""Dollars in the shapes of APIs: JSON numbers outside, nano-USD inside; no float comes near money."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from marketplace.lib import money


def fragment(nano: int) -> orjson.Fragment:
    """Nano-USD as a JSON number with all its digits, for orjson."""
    return orjson.Fragment(money.format_usd(nano))


def _read(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number of dollars")
    nano = money.parse_usd(str(value))
    if nano < 0:
        raise ValueError("must be zero or more dollars")
    return nano


# What is answered.
Dollars = Annotated[int, PlainSerializer(fragment, return_type=Any), WithJsonSchema({"type": "number"})]
# What is asked for: a JSON number or a decimal string.
GivenDollars = Annotated[
    int, BeforeValidator(_read), WithJsonSchema({"type": "number", "minimum": 0, "multipleOf": 0.000000001})
]
