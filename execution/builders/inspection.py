"""Run inside the sandbox by the version's own Python: imports the creator's code, prints its schema as a line of JSON.

`inspection.py <path> <name>` in the folder of the sources. Standard library and cog only. Whatever the creator's code
prints goes to the error stream. Failures are told as JSON too, with the creator's own lines of the traceback.
"""

import dataclasses
import enum
import importlib
import inspect
import json
import os
import pathlib
import sys
import traceback
import typing
import warnings
from typing import Any

MAX_TEXT = 4000
SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string"}


def frames(error: BaseException, folder: str) -> "list[str]":
    """ "predict.py line 3, in <module>: import cv3" for each line of the creator's on the way to the error."""
    found = []
    for frame in traceback.extract_tb(error.__traceback__):
        if os.path.realpath(frame.filename).startswith(folder + os.sep):
            name = os.path.relpath(os.path.realpath(frame.filename), folder)
            found.append(f"{name} line {frame.lineno}, in {frame.name}: {frame.line or ''}".rstrip(": "))
    if isinstance(error, SyntaxError) and error.filename:
        name = os.path.relpath(os.path.realpath(error.filename), folder)
        found.append(f"{name} line {error.lineno}: {(error.text or '').strip()}")
    return found[-10:]


def is_path(kind: Any) -> bool:
    """Whether values of this annotation are files."""
    return inspect.isclass(kind) and issubclass(kind, os.PathLike)


def model_fields(kind: Any) -> "dict[str, Any] | None":
    """Names and annotations of a BaseModel, Cog's or pydantic's, a dataclass or a TypedDict; None for all else."""
    if not inspect.isclass(kind):
        return None
    if hasattr(kind, "model_fields") or dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return typing.get_type_hints(kind)
    if any(base.__name__ == "BaseModel" and base.__module__.startswith("cog") for base in inspect.getmro(kind)):
        return typing.get_type_hints(kind)
    return None


def describe(kind: Any) -> "dict[str, Any]":
    """The JSON schema of an output annotation."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return describe(arguments[0])
    if kind in SCALARS:
        return {"type": SCALARS[kind]}
    if is_path(kind) or getattr(kind, "__name__", "") in ("File", "URLPath"):
        return {"type": "string", "format": "uri"}
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        values = [one.value for one in kind]
        return {"enum": values, **({"type": SCALARS[type(values[0])]} if values and type(values[0]) in SCALARS else {})}
    name = getattr(origin or kind, "__name__", str(kind))
    if "ConcatenateIterator" in name:
        return {
            "type": "array",
            "items": {"type": "string"},
            "x-cog-array-type": "iterator",
            "x-cog-array-display": "concatenate",
        }
    if name in ("Iterator", "AsyncIterator", "Generator", "AsyncGenerator"):
        return {"type": "array", "items": describe(arguments[0]) if arguments else {}, "x-cog-array-type": "iterator"}
    if name in ("list", "List", "Sequence", "tuple", "Tuple", "set"):
        return {"type": "array", "items": describe(arguments[0]) if arguments else {}}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if arguments and type(None) in arguments:
        rest = [one for one in arguments if one is not type(None)]
        inner = describe(rest[0]) if len(rest) == 1 else {"anyOf": [describe(one) for one in rest]}
        return {**inner, "nullable": True}
    if name in ("Union", "UnionType"):
        return {"anyOf": [describe(one) for one in arguments]}
    if (fields := model_fields(kind)) is not None:
        properties = {key: {"title": key.replace("_", " ").title(), **describe(one)} for key, one in fields.items()}
        required = [key for key, one in properties.items() if not one.get("nullable")]
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}
    return {"type": "object"} if name in ("dict", "Dict", "Mapping") else {}


def input_schema(inputs: "dict[str, Any]") -> "dict[str, Any]":
    """components.schemas: Input, and one component per input with choices, as Cog has them."""
    schemas: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    required = []
    for one in inputs.values():
        title = one.name.replace("_", " ").title()
        described = dict(one.type.json_type())
        optional = "OPTIONAL" in one.type.repetition.name
        if one.choices and one.default is not None and one.default not in one.choices:
            raise ValueError(f"the default of {one.name}, {one.default!r}, is not one of its choices")
        if one.choices:
            schemas[one.name] = {**described, "title": one.name, "enum": list(one.choices)}
            described = {"allOf": [{"$ref": f"#/components/schemas/{one.name}"}]}
        else:
            described["title"] = title
        extra = {
            "description": one.description,
            "minimum": one.ge,
            "maximum": one.le,
            "minLength": one.min_length,
            "maxLength": one.max_length,
            "pattern": one.regex,
            "deprecated": one.deprecated,
        }
        described.update({key: value for key, value in extra.items() if value is not None})
        for key in ("minimum", "maximum"):
            if key in described and described[key] == int(described[key]):
                described[key] = int(described[key])
        described["x-order"] = one.order
        if optional:
            described["nullable"] = True
        default = one.default
        if default is None and not optional:
            required.append(one.name)
        elif default is not None:
            described["default"] = json.loads(json.dumps(default, default=str))
        properties[one.name] = described
    schemas["Input"] = {"title": "Input", "type": "object", "properties": properties}
    if required:
        schemas["Input"]["required"] = required
    return schemas


def document(schemas: "dict[str, Any]") -> "dict[str, Any]":
    """The whole OpenAPI document. `x-cog-streaming` makes Cog's server offer events for every model."""
    reference = {"$ref": "#/components/schemas/PredictionResponse"}
    response = {
        "title": "PredictionResponse",
        "type": "object",
        "properties": {
            "id": {"title": "Id", "type": "string"},
            "input": {"$ref": "#/components/schemas/Input"},
            "output": {"$ref": "#/components/schemas/Output"},
            "logs": {"title": "Logs", "type": "string", "default": ""},
            "error": {"title": "Error", "type": "string"},
            "status": {"type": "string", "enum": ["starting", "processing", "succeeded", "canceled", "failed"]},
            "metrics": {"title": "Metrics", "type": "object"},
        },
    }
    request = {
        "title": "PredictionRequest",
        "type": "object",
        "properties": {
            "id": {"title": "Id", "type": "string"},
            "input": {"$ref": "#/components/schemas/Input"},
            "webhook": {"title": "Webhook", "type": "string", "format": "uri"},
        },
    }
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}}}
    answers = {"200": {"description": "A prediction", "content": {"application/json": {"schema": reference}}}}
    post = {"summary": "Predict", "operationId": "predict", "x-cog-streaming": True, "requestBody": body}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {"/predictions": {"post": {**post, "responses": answers}}},
        "components": {"schemas": {**schemas, "PredictionRequest": request, "PredictionResponse": response}},
    }


def hint(text: str) -> str:
    """What Cog's own words leave out: what to write instead."""
    if "must have a return type annotation" in text:
        return ": say what it returns, such as -> str or -> Path"
    if "unsupported Cog type" in text:
        return ": an input is a str, int, float, bool, cog.Path, dict, or a list of these"
    if text.startswith(("invalid literal for int()", "could not convert string to float")):
        return " (the default= of an input does not fit its type)"
    return ""


def look(path: str, name: str) -> "dict[str, Any]":
    """Import and describe. Raises whatever the creator's code raises."""
    from cog import _inspector

    module = path.removesuffix(".py").replace("/", ".")
    loaded = importlib.import_module(module)
    if not hasattr(loaded, name):
        raise LookupError(f"{path} has no {name!r}")
    seen: list[Any] = []

    def keep(annotation: Any) -> Any:
        # Cog's own reading refuses lists of models, which its server returns without complaint.
        seen.append(annotation)
        return _inspector.adt.OutputType(kind=_inspector.adt.OutputKind.SINGLE, type=_inspector.adt.PrimitiveType.ANY)

    _inspector._create_output_type = keep
    try:
        found = _inspector.create_predictor(module, name)
    except ValueError as error:
        error.args = (f"{error}{hint(str(error))}",)
        raise
    return document({**input_schema(found.inputs), "Output": {"title": "Output", **describe(seen[-1])}})


def main() -> int:
    """Print the result to what was the standard output; the creator's prints go elsewhere."""
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    path, name = sys.argv[1:3]
    folder = os.path.realpath(os.getcwd())
    sys.path.insert(0, folder)
    if "/" in path:
        sys.path.insert(1, str(pathlib.Path(folder) / pathlib.Path(path).parent))
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        answer: dict[str, Any] = {"schema": look(path, name)}
    except BaseException as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        answer = {"error": text[:MAX_TEXT], "frames": frames(error, folder)}
        if missing := getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None:
            answer["missing"] = str(missing)
    result.write(json.dumps(answer, default=str) + "\n")
    result.flush()
    os._exit(0)  # threads of the creator's code must not keep us


if __name__ == "__main__":
    sys.exit(main())
