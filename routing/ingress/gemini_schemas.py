"""Google's own kind of schema (types in capitals, `nullable`, camel case) as the JSON Schema that it means."""

from collections.abc import Mapping
from typing import Final

from routing.canonical import Json
from routing.ingress import fields
from routing.ingress.gemini_contents import camel

MAX_DEPTH: Final = 64
COPIED: Final = (
    "description", "enum", "format", "title", "default", "pattern", "minimum", "maximum", "required", "maxItems",
    "minItems", "maxLength", "minLength", "maxProperties", "minProperties", "additionalProperties",
)  # fmt: skip
COUNTS: Final = frozenset({"maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"})


def json_schema(schema: Json, where: str, *, depth: int = 0) -> dict[str, Json]:
    """The schema, at any depth. Raises InvalidRequest where it is none."""
    if not isinstance(schema, dict):
        raise fields.wrong(where, "must be a schema object")
    if depth > MAX_DEPTH:
        raise fields.wrong(where, f"is nested deeper than {MAX_DEPTH} levels")
    given = camel(schema)
    found: dict[str, Json] = {}
    kind = given.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        found["type"] = kind.lower()
        if given.get("nullable") is True:
            found["type"] = [found["type"], "null"]
    for name in COPIED:
        if given.get(name) is not None:
            found[name] = _number(given[name]) if name in COUNTS else given[name]
    if given.get("items") is not None:
        found["items"] = json_schema(given["items"], f"{where}.items", depth=depth + 1)
    if isinstance(given.get("properties"), dict):
        inside: Mapping[str, Json] = given["properties"]
        found["properties"] = {
            name: json_schema(value, f"{where}.properties.{name}", depth=depth + 1) for name, value in inside.items()
        }
    if isinstance(given.get("anyOf"), list):
        options = given["anyOf"]
        found["anyOf"] = [
            json_schema(value, f"{where}.anyOf[{place}]", depth=depth + 1) for place, value in enumerate(options)
        ]
    return found


def _number(value: Json) -> Json:
    """Protobuf writes whole numbers of 64 bits as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value
