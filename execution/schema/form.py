"""The inputs of a version as a form shows them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from execution.schema.document import INPUT, InvalidSchema, Schema, component_of, flatten, is_file, unwrap_null


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a model, as a form shows it.

    `kind` is one of file, files, choice, boolean, integer, number, text, secret, list, json.
    """

    name: str
    title: str
    kind: str
    order: int
    required: bool
    description: str = ""
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    nullable: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def fields(document: Schema) -> tuple[Field, ...]:
    """The inputs ordered by `x-order`. Raises InvalidSchema."""
    component = component_of(document, INPUT)
    if component is None:
        raise InvalidSchema("the schema has no components.schemas.Input")
    required = set(component.get("required") or ())
    found = []
    for position, (name, node) in enumerate((component.get("properties") or {}).items()):
        flat, nullable = unwrap_null(flatten(document, node))
        order = flat.get("x-order")
        found.append(
            Field(
                name=name,
                title=str(flat.get("title") or name.replace("_", " ").capitalize()),
                kind=_kind(flat),
                order=order if isinstance(order, int) else position,
                required=name in required,
                description=str(flat.get("description") or ""),
                default=copy.deepcopy(flat.get("default")),
                choices=tuple(flat.get("enum") or ()),
                minimum=_number(flat.get("minimum")),
                maximum=_number(flat.get("maximum")),
                min_length=flat.get("minLength"),
                max_length=flat.get("maxLength"),
                pattern=str(flat.get("pattern") or ""),
                nullable=nullable,
                raw=flat,
            )
        )
    return tuple(sorted(found, key=lambda one: one.order))


def file_inputs(document: Schema) -> frozenset[str]:
    """The names of the inputs that are files or lists of files."""
    return frozenset(one.name for one in fields(document) if one.kind in ("file", "files"))


def _kind(flat: Mapping[str, Any]) -> str:
    if flat.get("enum"):
        return "choice"
    if flat.get("x-cog-secret") or flat.get("format") == "password":
        return "secret"
    if is_file(flat):
        return "file"
    kind = flat.get("type")
    if kind == "array":
        return "files" if is_file(flat.get("items") or {}) else "list"
    return {"boolean": "boolean", "integer": "integer", "number": "number", "string": "text"}.get(str(kind), "json")


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
