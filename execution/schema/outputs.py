"""What comes out of a version, and what goes in, by kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from execution.schema.document import OUTPUT, Schema, component_of, flatten, is_file, unwrap_null
from execution.schema.form import fields

_MEDIA: Final = {
    "image": "image|picture|photo|png|jpe?g|frame",
    "audio": "audio|sound|speech|voice|wav|mp3",
    "video": "video|clip|mp4",
}
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)  # a link, or what stands for a stored file


def output_kind(document: Schema) -> str:
    """text, stream (text drawn together), file, files, boxes, list, object, number, boolean or any."""
    component = component_of(document, OUTPUT)
    if component is None:
        return "any"
    flat, _ = unwrap_null(flatten(document, component))
    kind = flat.get("type")
    if kind == "array":
        items = flat.get("items") or {}
        if flat.get("x-cog-array-display") == "concatenate":
            return "stream"
        if is_file(items):
            return "files"
        return "boxes" if _is_box(items) else "list"
    if is_file(flat):
        return "file"
    return {"string": "text", "integer": "number", "number": "number", "boolean": "boolean", "object": "object"}.get(
        str(kind), "any"
    )


def is_file_at(document: Schema, component: str, member: str = "") -> bool:
    """Whether a component, or one of its members, is a file."""
    node = component_of(document, component)
    flat = unwrap_null(flatten(document, node))[0] if node is not None else {}
    return is_file(flat.get("properties", {}).get(member, {}) if member else flat)


def lacking_file(document: Schema, output: Any) -> str:
    """What is wrong with an output whose type is a file, for whoever wrote the model; empty where nothing is.

    Cog gives null where a returned path has no file behind it. A type that allows None allows that.
    """
    component = component_of(document, OUTPUT)
    if component is None:
        return ""
    flat, may_be_null = unwrap_null(flatten(document, component))
    if not is_file(flat) or (output is None and may_be_null):
        return ""
    if output is None:
        return (
            "The model returned no file: its type says that it returns one, and there was none at the path that it "
            "returned (or it returned None). Write the file before returning its path."
        )
    if not isinstance(output, str):
        return "The model returned no path where its type says a file: return a cog.Path."
    if not _ADDRESS.match(output):
        return (
            f"The model returned the text {output[:80]!r} where its type says a file: return cog.Path({output[:80]!r})."
        )
    return ""


def is_iterator(document: Schema) -> bool:
    """Whether the output comes piece by piece."""
    component = component_of(document, OUTPUT)
    return component is not None and flatten(document, component).get("x-cog-array-type") == "iterator"


def _is_box(flat: Mapping[str, Any]) -> bool:
    names = set(flat.get("properties") or ())
    return "box" in names or {"x", "y", "width", "height"} <= names or {"left", "top", "right", "bottom"} <= names


def modalities(document: Schema) -> tuple[list[str], list[str]]:
    """What goes in and what comes out, in the catalogue's words; of a file its name and description tell the kind."""
    into = set()
    for one in fields(document):
        if one.kind in ("file", "files"):
            into.add(_medium(f"{one.name} {one.description}"))
        elif one.kind == "text":
            into.add("text")
    component = component_of(document, OUTPUT) or {}
    gives_files = output_kind(document) in ("file", "files")
    out = _medium(f"{component.get('title', '')} {component.get('description', '')}") if gives_files else "text"
    return sorted(into) or ["text"], [out]


def _medium(words: str) -> str:
    for medium, marks in _MEDIA.items():
        if re.search(rf"\b(?:{marks})s?\b", words.lower().replace("_", " ")):
            return medium
    return "file"
