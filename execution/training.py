"""What a version says of its training: the `train` function's inputs and outputs inside its schema. Pure.

Cog has both in one document: `components.schemas.Input` and `Output` are the predictor's, `TrainingInput` and
`TrainingOutput` those of the function that cog.yaml names under `train` (facts/replicate.md section 3).
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from execution.schema import INPUT, OUTPUT, InvalidSchema, Schema, is_file_at

TRAINING_INPUT: Final = "TrainingInput"
TRAINING_OUTPUT: Final = "TrainingOutput"
WEIGHTS: Final = "weights"
_SHARED: Final = frozenset({INPUT, OUTPUT, "PredictionRequest", "PredictionResponse"})


def joined(predicting: Schema, training: Schema) -> dict[str, Any]:
    """The predictor's document with the training function's own beside it, as Cog names its parts.

    Choices become components named after their input, so those of the training get a name that is free.
    """
    document = copy.deepcopy(dict(predicting))
    schemas = document["components"]["schemas"]
    parts = training["components"]["schemas"]
    names = {name: f"training_{name}" for name in parts if name not in _SHARED}
    moved = _renamed({name: part for name, part in parts.items() if name in names or name in (INPUT, OUTPUT)}, names)
    for name, part in moved.items():
        schemas[names.get(name, f"Training{name}")] = part
    schemas[TRAINING_INPUT]["title"] = TRAINING_INPUT
    schemas[TRAINING_OUTPUT]["title"] = TRAINING_OUTPUT
    request = {"type": "object", "properties": {"input": {"$ref": f"#/components/schemas/{TRAINING_INPUT}"}}}
    response = {"type": "object", "properties": {"output": {"$ref": f"#/components/schemas/{TRAINING_OUTPUT}"}}}
    document["paths"]["/trainings"] = {
        "post": {
            "summary": "Train",
            "operationId": "train",
            "requestBody": {"content": {"application/json": {"schema": request}}},
            "responses": {"200": {"description": "A training", "content": {"application/json": {"schema": response}}}},
        }
    }
    return document


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The same with every reference to a renamed component pointing to its new name."""
    if isinstance(node, dict):
        return {
            key: f"#/components/schemas/{names[name]}"
            if key == "$ref" and isinstance(one, str) and (name := one.rpartition("/")[2]) in names
            else _renamed(one, names)
            for key, one in node.items()
        }
    return [_renamed(one, names) for one in node] if isinstance(node, list) else node


def is_offered(document: Schema) -> bool:
    """Whether the version can be trained."""
    return TRAINING_INPUT in ((document.get("components") or {}).get("schemas") or {})


def without(document: Schema) -> dict[str, Any]:
    """The document without a training."""
    parts = document.get("components")
    schemas = parts.get("schemas") if isinstance(parts, Mapping) else None
    if not isinstance(parts, Mapping) or not isinstance(schemas, Mapping):
        return dict(document)
    kept = {name: part for name, part in schemas.items() if name not in (TRAINING_INPUT, TRAINING_OUTPUT)}
    return {**document, "components": {**parts, "schemas": kept}}


def document_of(document: Schema) -> dict[str, Any]:
    """The document in which `Input` and `Output` are the training's, so that all of `schema` can be asked of it.

    Cog's server in training mode reads it too: it offers events under /predictions only, and checks what comes there
    against `Input`. Raises InvalidSchema for a version that cannot be trained.
    """
    if not is_offered(document):
        raise InvalidSchema("cog.yaml names no train function")
    schemas = document["components"]["schemas"]
    own = {**schemas, INPUT: schemas[TRAINING_INPUT], OUTPUT: schemas.get(TRAINING_OUTPUT, {})}
    return {**document, "components": {**document["components"], "schemas": own}}


def gives_weights(document: Schema) -> bool:
    """Whether the train function returns a file, or something with a file called `weights`, by its annotation."""
    trained = document_of(document)
    return is_file_at(trained, OUTPUT) or is_file_at(trained, OUTPUT, WEIGHTS)


def weights_in(output: Any) -> str:
    """What stands for the weights in a training's output: the output itself, or its member `weights`; else ""."""
    found = output.get(WEIGHTS) if isinstance(output, Mapping) else output
    return found if isinstance(found, str) else ""


def shown(output: Any, *, version: str) -> dict[str, Any]:
    """A finished training's output as its API has it: the weights, the version made of them, and what else came."""
    rest = dict(output) if isinstance(output, Mapping) else {WEIGHTS: output}
    return {**rest, "version": version}
