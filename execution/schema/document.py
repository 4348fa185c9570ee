"""A version's OpenAPI schema as a document: its components, with references and `allOf` drawn in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
MAX_REF_DEPTH: Final = 20
KEYWORDS: Final = frozenset(
    {"type", "format", "title", "description", "default", "enum", "const", "nullable", "required", "minimum", "maximum"}
    | {
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "pattern",
    }
)
INPUT: Final = "Input"
OUTPUT: Final = "Output"


class InvalidSchema(ValueError):
    """The schema itself cannot be used (no Input, a reference into nowhere or in a circle)."""


def _resolve(document: Schema, ref: str) -> Any:
    if not ref.startswith("#/"):
        raise InvalidSchema(f"the reference {ref!r} does not point into the schema")
    node: Any = document
    for part in ref[2:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or part not in node:
            raise InvalidSchema(f"the reference {ref!r} points to nothing")
        node = node[part]
    return node


def flatten(document: Schema, node: Any, depth: int = 0) -> dict[str, Any]:
    """One property with its `$ref` and `allOf` drawn in. The outer words win: a default beside an allOf is the field's.

    Only the keywords in KEYWORDS and `x-` survive: a creator's schema may hold anything, and what is not
    understood here is left to the model's own server.
    """
    if depth > MAX_REF_DEPTH:
        raise InvalidSchema("the schema refers to itself")
    if isinstance(node, bool):
        return {} if node else {"enum": []}
    if not isinstance(node, Mapping):
        raise InvalidSchema("a schema is not an object")
    flat: dict[str, Any] = {}
    if "$ref" in node:
        flat.update(flatten(document, _resolve(document, str(node["$ref"])), depth + 1))
    for part in node.get("allOf") or ():
        flat.update(flatten(document, part, depth + 1))
    flat.update({key: value for key, value in node.items() if key in KEYWORDS or key.startswith("x-")})
    for key in ("anyOf", "oneOf"):
        if key in node:
            flat[key] = [_inner(document, option, depth) for option in node[key]]
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), Mapping):
            flat[key] = _inner(document, node[key], depth)
        elif isinstance(node.get(key), bool):
            flat[key] = node[key]
    if isinstance(node.get("properties"), Mapping):
        flat["properties"] = {name: _inner(document, inner, depth) for name, inner in node["properties"].items()}
    return flat


def _inner(document: Schema, node: Any, depth: int) -> dict[str, Any]:
    flat = flatten(document, node, depth + 1)
    flat.pop("pattern", None)  # only a field's own pattern is weighed by is_cheap; inner ones are the model's to check
    return flat


def component_of(document: Schema, name: str) -> Mapping[str, Any] | None:
    """What stands under this name in `components.schemas`; None where nothing usable does."""
    schemas = (document.get("components") or {}).get("schemas") or {}
    found = schemas.get(name)
    return found if isinstance(found, Mapping) else None


def unwrap_null(flat: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Both spellings of Optional: `nullable: true`, and `anyOf` with a null."""
    nullable = bool(flat.get("nullable"))
    for key in ("anyOf", "oneOf"):
        options = flat.get(key)
        if not options:
            continue
        rest = [option for option in options if option.get("type") != "null"]
        if len(rest) < len(options):
            nullable = True
        if len(rest) == 1 and len(options) > 1:
            outer = {k: v for k, v in flat.items() if k != key}
            return {**rest[0], **outer}, nullable
    return flat, nullable


def is_file(flat: Mapping[str, Any]) -> bool:
    """Whether a flat schema is that of a file."""
    return flat.get("type") == "string" and flat.get("format") in ("uri", "binary")
