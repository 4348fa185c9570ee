"""Values from strangers made fit for the database: no NUL, no NaN, no half characters. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

MAX_DEPTH: Final = 200
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")


def text(value: str) -> str:
    """The text with a replacement character for each that cannot be stored."""
    return _UNFIT.sub("\ufffd", value)


def is_fit(value: Any, depth: int = 0) -> bool:
    """Whether a JSON value can be stored as it is."""
    if isinstance(value, str):
        return _UNFIT.search(value) is None
    if isinstance(value, float):
        return math.isfinite(value)
    if depth > MAX_DEPTH and isinstance(value, Mapping | list):
        return False
    if isinstance(value, Mapping):
        return all(is_fit(name, depth + 1) and is_fit(one, depth + 1) for name, one in value.items())
    if isinstance(value, list):
        return all(is_fit(one, depth + 1) for one in value)
    return True


def value(given: Any, depth: int = 0) -> Any:
    """The JSON value made fit: texts as by `text`, null for NaN and infinities and below the greatest depth."""
    if isinstance(given, str):
        return text(given)
    if isinstance(given, float):
        return given if math.isfinite(given) else None
    if depth > MAX_DEPTH:
        return None
    if isinstance(given, Mapping):
        return {text(str(name)): value(one, depth + 1) for name, one in given.items()}
    if isinstance(given, list | tuple):
        return [value(one, depth + 1) for one in given]
    return given
