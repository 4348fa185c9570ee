"""Whether an input fits a version's schema, and what is wrong with it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jsonschema

from execution.schema.document import INPUT, InvalidSchema, Schema, component_of
from execution.schema.form import Field, fields

MAX_PATTERN_STEPS: Final = 5_000_000


class InvalidInput(ValueError):
    """The input does not fit the schema. `problems` are (field, sentence) pairs in the schema's order."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(f"- input.{name}: {text}" if name else f"- input: {text}" for name, text in problems)
        )


def validate(*, document: Schema, given: Any) -> dict[str, Any]:
    """The input with defaults filled in.

    Raises InvalidInput naming every wrong field, InvalidSchema when the schema is unusable.

    Files are strings here: whether a URL may be fetched is decided by who fetches it.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput([("", "must be an object")])
    known = fields(document)
    component = component_of(document, INPUT) or {}
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
