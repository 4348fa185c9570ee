"""What a REST framework view says of itself for the OpenAPI document, beyond its docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Schema = Mapping[str, Any]

ANYTHING: Final[Schema] = {"type": "object"}
TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


@dataclass(frozen=True, slots=True)
class Described:
    """One method of a view: JSON Schemas of its body and its query; `is_open` where no key is needed.

    A view carries them as `described = {"post": Described(…)}`; what it does not describe is a free object.
    """

    body: Schema = field(default_factory=lambda: ANYTHING)
    query: Mapping[str, Schema] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    is_open: bool = False
    streams: bool = False
