"""An input for a hosted model that works when it is pasted: right types, within bounds, its files in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# A red square on white (PNG, 64 by 64), the same wandering to the right (GIF), a hundredth of a second of silence.
PICTURE: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAABlBMVEX////QKCiwo+AeAAAAFUlEQVR42mNgGHTgPxCMMnAz"
    "BhUAAHqhf4GokM9QAAAAAElFTkSuQmCC"
)
FILM: Final = (
    "data:image/gif;base64,R0lGODlhEAAQAIEAAP///9AoKAAAAAAAACH5BAAyAAAALAAAAAAQABAAAAgsAAEIHEiwoMGDCBMqXBigoUOFDh8mjNgQ"
    "IkWLETFKREgxgMaKC0OKHEnSYEAAIfkEATIAAgAsAgAEAAoACACB////0CgoAAAAAAAACCQAAQgEIEBAgIMBBhI0iFBhQYQJBz5sKJHhQYcWIwqceLEi"
    "xIAAOw=="
)
SOUND: Final = (
    "data:audio/wav;base64,UklGRnQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YVAAAACAgICAgICAgICAgICAgICAgICAgICAgICAgICA"
    "gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgA=="
)
WORDS: Final = "data:text/plain;base64,U2F5IGhlbGxvLg=="
# What a file is called, else said to be -> one of that kind; a picture where nothing is said.
_FILES: Final[Mapping[str, str]] = {
    "image|picture|photo|mask|drawing|scan": PICTURE,
    "audio|sound|speech|voice|recording|music|song|wav|mp3": SOUND,
    "video|film|clip|movie|footage|mp4": FILM,
    "text|document|csv|table|json|data|transcript": WORDS,
}
_DEEP: Final = 8


def of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a version with this OpenAPI schema must be given, by name."""
    inputs = _resolved(document, {"$ref": "#/components/schemas/Input"})
    wanted = set(inputs.get("required", ()))
    properties = inputs.get("properties", {})
    return {name: _value(document, name, properties[name]) for name in properties if name in wanted}


def _value(document: Mapping[str, Any], name: str, given: Mapping[str, Any], depth: int = 0) -> Any:
    schema = _resolved(document, given)
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = str(schema.get("type"))
    if kind == "array" and depth < _DEEP:
        one = _value(document, name, schema.get("items", {}), depth + 1)
        return [one] * max(1, min(int(schema.get("minItems", 1)), 10))
    if kind in ("integer", "number"):
        return _number(name, schema, whole=kind == "integer")
    if schema.get("format") == "uri":
        return _file(name, f"{schema.get('title', '')} {schema.get('description', '')}")
    return {"boolean": True, "object": {}}.get(kind, "Say hello.")


def _file(*said: str) -> str:
    for one in said:
        plain = one.lower().replace("_", " ")
        for words, file in _FILES.items():
            if re.search(rf"\b(?:{words})s?\b", plain):
                return file
    return PICTURE


def _number(name: str, schema: Mapping[str, Any], *, whole: bool) -> float:
    """Near 1, or for a width or height such as fits into the example's picture, within the schema's bounds."""
    usual = 48.0 if re.fullmatch(r"width|height|w|h", name) else 1.0 if whole else 0.5
    least, most = (float(schema.get(bound, usual)) for bound in ("minimum", "maximum"))
    found = min(max(usual, least), most)
    return int(found) if whole else found


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its reference, or that of its `allOf`, drawn in."""
    flat = dict(schema)
    for part in (schema, *schema.get("allOf", ())):
        if isinstance(part, Mapping) and (name := str(part.get("$ref", "")).rpartition("/")[2]):
            flat = {**document.get("components", {}).get("schemas", {}).get(name, {}), **flat}
    return flat
