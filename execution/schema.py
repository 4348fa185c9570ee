"""A version's OpenAPI schema put to use: checks inputs, lists form fields, says what kind its output is. Pure.

The schema is Cog's: `components.schemas.Input` with `x-order`, enums by `allOf` + `$ref`, files as
`{"type": "string", "format": "uri"}`; `components.schemas.Output` (facts/replicate.md section 1).
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema

Schema = Mapping[str, Any]

MAX_REF_DEPTH: Final = 20
MAX_PATTERN_STEPS: Final = 5_000_000
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
_MEDIA: Final = {
    "image": "image|picture|photo|png|jpe?g|frame",
    "audio": "audio|sound|speech|voice|wav|mp3",
    "video": "video|clip|mp4",
}
CHAT: Final = "x-turnpike-chat"
INPUT: Final = "Input"
OUTPUT: Final = "Output"


class InvalidInput(ValueError):
    """The input does not fit the schema. `problems` are (field, sentence) pairs in the schema's order."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(f"- input.{name}: {text}" if name else f"- input: {text}" for name, text in problems)
        )


class InvalidSchema(ValueError):
    """The schema itself cannot be used (no Input, a reference into nowhere or in a circle)."""


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


def _flatten(document: Schema, node: Any, depth: int = 0) -> dict[str, Any]:
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
        flat.update(_flatten(document, _resolve(document, str(node["$ref"])), depth + 1))
    for part in node.get("allOf") or ():
        flat.update(_flatten(document, part, depth + 1))
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
    flat = _flatten(document, node, depth + 1)
    flat.pop("pattern", None)  # only a field's own pattern is weighed by is_cheap; inner ones are the model's to check
    return flat


def _component(document: Schema, name: str) -> Mapping[str, Any] | None:
    schemas = (document.get("components") or {}).get("schemas") or {}
    found = schemas.get(name)
    return found if isinstance(found, Mapping) else None


def _unwrap_null(flat: dict[str, Any]) -> tuple[dict[str, Any], bool]:
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


def _is_file(flat: Mapping[str, Any]) -> bool:
    return flat.get("type") == "string" and flat.get("format") in ("uri", "binary")


def _kind(flat: Mapping[str, Any]) -> str:
    if flat.get("enum"):
        return "choice"
    if flat.get("x-cog-secret") or flat.get("format") == "password":
        return "secret"
    if _is_file(flat):
        return "file"
    kind = flat.get("type")
    if kind == "array":
        return "files" if _is_file(flat.get("items") or {}) else "list"
    return {"boolean": "boolean", "integer": "integer", "number": "number", "string": "text"}.get(str(kind), "json")


def fields(document: Schema) -> tuple[Field, ...]:
    """The inputs ordered by `x-order`. Raises InvalidSchema."""
    component = _component(document, INPUT)
    if component is None:
        raise InvalidSchema("the schema has no components.schemas.Input")
    required = set(component.get("required") or ())
    found = []
    for position, (name, node) in enumerate((component.get("properties") or {}).items()):
        flat, nullable = _unwrap_null(_flatten(document, node))
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


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def validate(*, document: Schema, given: Any) -> dict[str, Any]:
    """The input with defaults filled in.

    Raises InvalidInput naming every wrong field, InvalidSchema when the schema is unusable.

    Files are strings here: whether a URL may be fetched is decided by who fetches it.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput([("", "must be an object")])
    known = fields(document)
    component = _component(document, INPUT) or {}
    problems: list[tuple[str, str]] = []
    if component.get("additionalProperties") is not True:
        names = {one.name for one in known}
        for name in given:
            if name not in names:
                listed = ", ".join(one.name for one in known) or "none"
                problems.append(
                    (str(name), f"Additional property {name} is not allowed (inputs of this version: {listed})")
                )
    ready: dict[str, Any] = {}
    for one in known:
        if one.name not in given or (given[one.name] is None and not one.nullable and not one.required):
            if one.required:
                problems.append((one.name, f"{one.name} is required"))
            elif one.default is not None:
                ready[one.name] = copy.deepcopy(one.default)
            continue
        value = given[one.name]
        if value is None and one.nullable:
            ready[one.name] = None
            continue
        problem = _problem(one, value)
        if problem:
            problems.append((one.name, problem))
        else:
            ready[one.name] = value
    if component.get("additionalProperties") is True:
        ready.update(
            {
                name: value
                for name, value in given.items()
                if name not in ready and name not in {one.name for one in known}
            }
        )
    if problems:
        raise InvalidInput(problems)
    return ready


def _problem(one: Field, value: Any) -> str:
    raw = {key: word for key, word in one.raw.items() if key not in ("default", "nullable")}
    if one.pattern and isinstance(value, str) and not is_cheap(one.pattern, len(value)):
        raw.pop("pattern", None)  # left to the model's own server, inside its sandbox and time limit
    try:
        errors = sorted(
            jsonschema.Draft202012Validator(raw).iter_errors(value), key=lambda error: list(map(str, error.path))
        )
    except (jsonschema.SchemaError, re.error, TypeError, ValueError) as error:
        raise InvalidSchema(f"the schema of {one.name} cannot be used: {error}") from error
    return _sentence(errors[0]) if errors else ""


def is_cheap(pattern: str, length: int) -> bool:
    """Whether a creator's pattern can be tried on a caller's text of this length without a chance to hang us.

    A repeated group or a back-reference may take exponential time; otherwise each unbounded repeat, and a
    missing anchor, costs a power of the length.
    """
    plain = re.sub(r"\\[^0-9]", "_", pattern)
    if re.search(r"\)[*+{?]|\\[0-9]|\(\?P=", plain):
        return False
    plain = re.sub(r"\[[^\]]*\]", "_", plain)
    repeats = len(re.findall(r"[*+]|\{\d*,", plain)) + (not pattern.startswith(("^", "\\A")))
    steps: int = max(length, 2) ** repeats
    return steps <= MAX_PATTERN_STEPS


def _sentence(error: jsonschema.ValidationError) -> str:
    """jsonschema's message, without the caller's whole value in it (it may be a data URI of megabytes)."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
    rule, limit = error.validator, error.validator_value
    text = {
        "type": f"must be of type {limit}",
        "enum": f"must be one of: {', '.join(map(str, limit))}" if isinstance(limit, list) else "",
        "minimum": f"must be greater than or equal to {limit}",
        "maximum": f"must be less than or equal to {limit}",
        "exclusiveMinimum": f"must be greater than {limit}",
        "exclusiveMaximum": f"must be less than {limit}",
        "minLength": f"must be at least {limit} characters long",
        "maxLength": f"must be at most {limit} characters long",
        "minItems": f"must have at least {limit} items",
        "maxItems": f"must have at most {limit} items",
        "pattern": f"must match the pattern {limit}",
    }.get(str(rule), "")
    text = text or (error.message if len(error.message) <= 200 else f"does not satisfy {rule}")
    return f"{where.lstrip('.')} {text}".strip() if where else text


def file_inputs(document: Schema) -> frozenset[str]:
    """The names of the inputs that are files or lists of files."""
    return frozenset(one.name for one in fields(document) if one.kind in ("file", "files"))


def of_chat(offer: Mapping[str, int]) -> dict[str, Any]:
    """The schema of a version that serves chats: it takes no inputs of a prediction, and says what it offers."""
    schemas = {INPUT: {"type": "object", "title": INPUT, "properties": {}}, OUTPUT: {"type": "string", "title": OUTPUT}}
    info = {"title": "Chat", "version": "1"}
    return {"openapi": "3.0.2", "info": info, "paths": {}, "components": {"schemas": schemas}, CHAT: dict(offer)}


def chat_offer(document: Schema) -> Mapping[str, int] | None:
    """What a version that serves chats offers, under the names of package.Chat; None for one that runs predictions."""
    found = document.get(CHAT)
    return found if isinstance(found, Mapping) else None


def modalities(document: Schema) -> tuple[list[str], list[str]]:
    """What goes in and what comes out, in the catalogue's words; of a file its name and description tell the kind."""
    into = set()
    for one in fields(document):
        if one.kind in ("file", "files"):
            into.add(_medium(f"{one.name} {one.description}"))
        elif one.kind == "text":
            into.add("text")
    component = _component(document, OUTPUT) or {}
    is_file = output_kind(document) in ("file", "files")
    out = _medium(f"{component.get('title', '')} {component.get('description', '')}") if is_file else "text"
    return sorted(into) or ["text"], [out]


def _medium(words: str) -> str:
    for medium, marks in _MEDIA.items():
        if re.search(rf"\b(?:{marks})s?\b", words.lower().replace("_", " ")):
            return medium
    return "file"


def output_kind(document: Schema) -> str:
    """text, stream (text drawn together), file, files, boxes, list, object, number, boolean or any."""
    component = _component(document, OUTPUT)
    if component is None:
        return "any"
    flat, _ = _unwrap_null(_flatten(document, component))
    kind = flat.get("type")
    if kind == "array":
        items = flat.get("items") or {}
        if flat.get("x-cog-array-display") == "concatenate":
            return "stream"
        if _is_file(items):
            return "files"
        return "boxes" if _is_box(items) else "list"
    if _is_file(flat):
        return "file"
    return {"string": "text", "integer": "number", "number": "number", "boolean": "boolean", "object": "object"}.get(
        str(kind), "any"
    )


def is_file_at(document: Schema, component: str, member: str = "") -> bool:
    """Whether a component, or one of its members, is a file."""
    node = _component(document, component)
    flat = _unwrap_null(_flatten(document, node))[0] if node is not None else {}
    return _is_file(flat.get("properties", {}).get(member, {}) if member else flat)


def is_iterator(document: Schema) -> bool:
    """Whether the output comes piece by piece."""
    component = _component(document, OUTPUT)
    return component is not None and _flatten(document, component).get("x-cog-array-type") == "iterator"


def _is_box(flat: Mapping[str, Any]) -> bool:
    names = set(flat.get("properties") or ())
    return "box" in names or {"x", "y", "width", "height"} <= names or {"left", "top", "right", "bottom"} <= names
