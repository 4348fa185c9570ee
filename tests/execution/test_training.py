"""The training's half of a version's schema."""

from __future__ import annotations

from typing import Any

import pytest

from execution import schema, training
from tests.factories.execution import SCHEMA


def document(inputs: dict[str, Any], output: dict[str, Any], **choices: Any) -> dict[str, Any]:
    """As the inspection of one function gives it."""
    parts = {"Input": {"title": "Input", "type": "object", "properties": inputs}, "Output": output, **choices}
    return {"openapi": "3.0.2", "info": {}, "paths": {"/predictions": {}}, "components": {"schemas": parts}}


FILE = {"type": "string", "format": "uri"}
SIZED = {"size": {"allOf": [{"$ref": "#/components/schemas/size"}], "x-order": 0}}
PREDICTOR = document(SIZED, {"type": "string"}, size={"enum": ["s", "m"]})


def test_both_halves_keep_their_own_choices_under_one_name() -> None:
    trains = document(SIZED, {"type": "object", "properties": {"weights": FILE}}, size={"enum": [1, 2]})
    whole = training.joined(PREDICTOR, trains)
    assert schema.fields(whole)[0].choices == ("s", "m")
    assert schema.fields(training.document_of(whole))[0].choices == (1, 2)
    assert whole["components"]["schemas"]["TrainingInput"]["title"] == "TrainingInput"
    assert "/trainings" in whole["paths"]
    assert PREDICTOR["components"]["schemas"].keys() == {"Input", "Output", "size"}  # not changed


@pytest.mark.parametrize(
    ("output", "gives"),
    [
        (FILE, True),
        ({"type": "object", "properties": {"weights": FILE}}, True),
        ({"type": "object", "properties": {"weights": {**FILE, "nullable": True}}}, True),
        ({"type": "object", "properties": {"weights": {"type": "string"}}}, False),
        ({"type": "object", "properties": {"picture": FILE}}, False),
        ({"type": "string"}, False),
        ({}, False),
    ],
)
def test_weights_are_a_file_or_a_file_called_weights(output: dict[str, Any], gives: bool) -> None:
    assert training.gives_weights(training.joined(PREDICTOR, document({}, output))) is gives


def test_a_version_without_a_train_function_has_no_training() -> None:
    assert not training.is_offered(SCHEMA)
    with pytest.raises(schema.InvalidSchema, match="train"):
        training.document_of(SCHEMA)


def test_a_training_can_be_taken_out() -> None:
    whole = training.joined(PREDICTOR, document({}, FILE))
    assert training.is_offered(whole)
    assert not training.is_offered(training.without(whole))
    assert training.without({"components": []}) == {"components": []}


def test_the_output_names_its_version_beside_what_the_function_returned() -> None:
    assert training.shown("turnpike-file:a", version="o/n:1") == {"weights": "turnpike-file:a", "version": "o/n:1"}
    given = {"weights": "turnpike-file:a", "accuracy": 0.5, "version": "its own"}
    assert training.shown(given, version="o/n:1") == {"weights": "turnpike-file:a", "accuracy": 0.5, "version": "o/n:1"}
    assert training.weights_in(given) == "turnpike-file:a"
    assert [training.weights_in(one) for one in (None, 3, ["a"], {"weights": 3}, {})] == [""] * 5
