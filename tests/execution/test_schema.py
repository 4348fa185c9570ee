import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution import schema


def document(
    properties: dict[str, Any], *, required: list[str] | None = None, output: Any = None, **schemas: Any
) -> dict[str, Any]:
    return {
        "openapi": "3.0.2",
        "components": {
            "schemas": {
                "Input": {"type": "object", "title": "Input", "properties": properties, "required": required or []},
                "Output": {"type": "string", "title": "Output"} if output is None else output,
                **schemas,
            }
        },
    }


COG = document(
    {
        "scale": {"type": "number", "title": "Scale", "minimum": 0, "maximum": 10, "default": 1.5, "x-order": 3},
        "image": {"type": "string", "title": "Image", "format": "uri", "x-order": 0, "description": "what to look at"},
        "mode": {"allOf": [{"$ref": "#/components/schemas/mode"}], "default": "fast", "x-order": 1},
        "steps": {"type": "integer", "title": "Steps", "minimum": 1, "maximum": 50, "default": 20, "x-order": 2},
        "name": {"type": "string", "title": "Name", "pattern": "^[a-z]+$", "maxLength": 8, "x-order": 4},
        "seed": {"type": "integer", "title": "Seed", "nullable": True, "x-order": 5},
        "tags": {"type": "array", "items": {"type": "string"}, "x-order": 6, "default": []},
        "other": {"anyOf": [{"type": "integer"}, {"type": "null"}], "x-order": 7},
        "token": {"type": "string", "format": "password", "x-cog-secret": True, "x-order": 8},
        "flip": {"type": "boolean", "default": False, "x-order": 9},
        "frames": {"type": "array", "items": {"type": "string", "format": "uri"}, "x-order": 10},
    },
    required=["image"],
    mode={"type": "string", "title": "mode", "description": "An enumeration.", "enum": ["fast", "slow"]},
)
IMAGE = "https://example.test/a.png"
FILE = {"type": "string", "format": "uri"}


def test_defaults_are_filled_in() -> None:
    assert schema.validate(document=COG, given={"image": IMAGE}) == {
        "image": IMAGE, "mode": "fast", "steps": 20, "scale": 1.5, "tags": [], "flip": False,
    }  # fmt: skip


def test_a_default_is_a_copy() -> None:
    first = schema.validate(document=COG, given={"image": IMAGE})
    first["tags"].append("mine")
    assert schema.validate(document=COG, given={"image": IMAGE})["tags"] == []


@pytest.mark.parametrize(
    ("wrong", "name", "says"),
    [
        ({"steps": 0}, "steps", "greater than or equal to 1"),
        ({"steps": 51}, "steps", "less than or equal to 50"),
        ({"steps": 1.5}, "steps", "of type integer"),
        ({"steps": "3"}, "steps", "of type integer"),
        ({"steps": True}, "steps", "of type integer"),
        ({"scale": float("inf")}, "scale", "less than or equal to 10"),
        ({"mode": "medium"}, "mode", "one of: fast, slow"),
        ({"name": "UPPER"}, "name", "match the pattern"),
        ({"name": "waytoolongname"}, "name", "at most 8"),
        ({"image": 5}, "image", "of type string"),
        ({"tags": ["a", 1]}, "tags", "[1] must be of type string"),
        ({"other": "x"}, "other", "of type integer"),
        ({"flip": "yes"}, "flip", "of type boolean"),
        ({"zoom": 1}, "zoom", "Additional property zoom is not allowed"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, Any], name: str, says: str) -> None:
    with pytest.raises(schema.InvalidInput) as caught:
        schema.validate(document=COG, given={"image": IMAGE, **wrong})
    assert [field for field, _ in caught.value.problems] == [name]
    assert says in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(schema.InvalidInput) as caught:
        schema.validate(document=COG, given={"steps": 0, "colour": "red"})
    assert {field for field, _ in caught.value.problems} == {"image", "steps", "colour"}
    assert "input.image: image is required" in str(caught.value)


def test_a_required_input_may_not_be_null() -> None:
    with pytest.raises(schema.InvalidInput, match=r"input\.image"):
        schema.validate(document=COG, given={"image": None})


def test_null_where_it_is_allowed_stays_null_and_elsewhere_means_default() -> None:
    ready = schema.validate(document=COG, given={"image": IMAGE, "seed": None, "other": None, "steps": None})
    assert ready["seed"] is None
    assert ready["other"] is None
    assert ready["steps"] == 20


@pytest.mark.parametrize("given_", [None, [], "text", 3])
def test_an_input_that_is_no_object_is_refused(given_: Any) -> None:
    with pytest.raises(schema.InvalidInput, match="must be an object"):
        schema.validate(document=COG, given=given_)


def test_a_message_does_not_repeat_a_large_value() -> None:
    with pytest.raises(schema.InvalidInput) as caught:
        schema.validate(document=COG, given={"image": IMAGE, "name": "x" * 1_000_000})
    assert len(str(caught.value)) < 300


def test_fields_come_in_order_with_their_kind() -> None:
    assert [(one.name, one.kind) for one in schema.fields(COG)] == [
        ("image", "file"),
        ("mode", "choice"),
        ("steps", "integer"),
        ("scale", "number"),
        ("name", "text"),
        ("seed", "integer"),
        ("tags", "list"),
        ("other", "integer"),
        ("token", "secret"),
        ("flip", "boolean"),
        ("frames", "files"),
    ]
    by_name = {one.name: one for one in schema.fields(COG)}
    assert by_name["mode"].choices == ("fast", "slow")
    assert by_name["mode"].default == "fast"
    assert (by_name["steps"].minimum, by_name["steps"].maximum) == (1, 50)
    assert by_name["image"].required
    assert by_name["other"].nullable
    assert schema.file_inputs(COG) == {"image", "frames"}


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "uri"}, "file"),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, "files"),
        (
            {
                "type": "array",
                "items": {"type": "string"},
                "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate",
            },
            "stream",
        ),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Shape"}}, "boxes"),
        ({"type": "array", "items": {"type": "integer"}}, "list"),
        ({"type": "object"}, "object"),
        ({"type": "number"}, "number"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text"),
        ({}, "any"),
    ],
)
def test_output_kinds(output: dict[str, Any], kind: str) -> None:
    shape = {
        "type": "object",
        "properties": {"label": {"type": "string"}, "box": {"type": "array", "items": {"type": "integer"}}},
    }
    assert schema.output_kind(document({}, output=output, Shape=shape)) == kind


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("turnpike-file:0", ""),
        ("https://files.example/a.png", ""),
        (None, "returned no file"),
        ("/tmp/a.png", "return cog.Path('/tmp/a.png')"),
        (["a"], "return a cog.Path"),
    ],
)
def test_an_output_whose_type_is_a_file_is_one(output: Any, says: str) -> None:
    kind = {"type": "string", "format": "uri"}
    said = schema.lacking_file(document({}, output=kind), output)
    assert (says in said) if says else said == ""
    assert schema.lacking_file(document({}, output={"type": "string"}), output) == ""
    if output is None:
        assert schema.lacking_file(document({}, output={**kind, "nullable": True}), output) == ""


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"components": {}},
        document({"a": {"$ref": "#/components/schemas/Nowhere"}}),
        document({"a": {"$ref": "file:///etc/passwd"}}),
        document({"a": {"$ref": "#/components/schemas/Input/properties/a"}}),
        document({"a": {"type": "string", "pattern": "("}}),
    ],
)
def test_an_unusable_schema_is_said_to_be_so(broken: dict[str, Any]) -> None:
    with pytest.raises(schema.InvalidSchema):
        schema.validate(document=broken, given={"a": "x"})


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|a)*b", "(a*)*$", "a*a*a*a*b", r"(.*)\1{9}x", ".*.*.*=.*"])
def test_a_pattern_made_to_hang_does_not_hang_us(pattern: str) -> None:
    started = time.process_time()
    schema.validate(document=document({"a": {"type": "string", "pattern": pattern}}), given={"a": "a" * 5_000})
    assert time.process_time() - started < 2


TEXT = string.printable
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(TEXT, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    given_=st.dictionaries(st.sampled_from([*COG["components"]["schemas"]["Input"]["properties"], "zoom"]), json_values)
)
def test_any_input_is_accepted_or_refused_with_reasons_and_accepted_ones_are_stable(given_: dict[str, Any]) -> None:
    try:
        ready = schema.validate(document=COG, given=given_)
    except schema.InvalidInput as error:
        refused = error.problems
    else:
        refused = ()
    if refused:
        assert all(text for _, text in refused)
        return
    assert schema.validate(document=COG, given=ready) == ready
    assert ready["mode"] in ("fast", "slow")
    assert 1 <= ready["steps"] <= 50


@pytest.mark.parametrize(
    ("properties", "output", "expected"),
    [
        ({"text": {"type": "string"}}, {"type": "string"}, (["text"], ["text"])),
        ({"image": FILE, "size": {"type": "integer"}}, {"type": "object"}, (["image"], ["text"])),
        ({"source": {**FILE, "description": "A WAV file"}}, FILE, (["audio"], ["file"])),
        (
            {"input_video": FILE, "prompt": {"type": "string"}},
            {**FILE, "title": "Frame"},
            (["text", "video"], ["image"]),
        ),
        ({"weights": FILE}, {}, (["file"], ["text"])),
        ({"n": {"type": "integer"}}, {}, (["text"], ["text"])),
    ],
)
def test_modalities(properties: dict[str, Any], output: Any, expected: tuple[list[str], list[str]]) -> None:
    assert schema.modalities(document(properties, output=output)) == expected
