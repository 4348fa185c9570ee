"""The input of a hosted model's snippet: it fits the version's schema, and its files are what they say."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import shlex
import wave
from typing import Any

import pytest
from PIL import Image

from execution import schema
from marketplace.views import example_inputs, snippets

FILE = {"type": "string", "format": "uri"}


def document(required: list[str] | None = None, **properties: dict[str, Any]) -> dict[str, Any]:
    inputs = {"type": "object", "properties": properties, "required": required or list(properties)}
    mode = {"type": "string", "enum": ["it's fast", "slow"]}
    return {"components": {"schemas": {"Input": inputs, "mode": mode, "Output": {"type": "string"}}}}


EVERYTHING = document(
    text={"type": "string"},
    count={"type": "integer", "minimum": 2, "maximum": 5},
    share={"type": "number", "maximum": 0.25},
    width={"type": "integer", "minimum": 2},
    mode={"allOf": [{"$ref": "#/components/schemas/mode"}]},
    tags={"type": "array", "items": {"type": "string"}, "minItems": 2},
    frames={"type": "array", "items": FILE},
    picture=FILE | {"description": "With printed text, no video"},
    film=FILE | {"title": "Clip"},
    speech=FILE | {"description": "Any recording"},
    flip={"type": "boolean"},
)


def bytes_of(address: str) -> tuple[str, bytes]:
    found = re.fullmatch(r"data:([a-z/]+);base64,([A-Za-z0-9+/]+=*)", address)
    assert found
    return found[1], base64.b64decode(found[2], validate=True)


def test_it_fits_the_schema_and_has_what_must_be_given() -> None:
    example = example_inputs.of(EVERYTHING)
    assert schema.validate(document=EVERYTHING, given=example) == example
    assert (example["count"], example["share"], example["width"], example["flip"]) == (2, 0.25, 48, True)
    assert (example["mode"], len(example["tags"]), len(example["frames"])) == ("it's fast", 2, 1)
    optional = document(["picture"], picture=FILE, mask=FILE, seed={"type": "integer"}, steps={"default": 3})
    assert list(example_inputs.of(optional)) == ["picture"]
    assert example_inputs.of({}) == {}


def test_its_files_are_of_the_kind_that_is_asked_for_and_can_be_read() -> None:
    example = example_inputs.of(EVERYTHING)
    kind, content = bytes_of(example["picture"])
    with Image.open(io.BytesIO(content)) as picture:
        assert (kind, picture.format, picture.size) == ("image/png", "PNG", (64, 64))
        assert picture.convert("RGB").getpixel((32, 32)) == (208, 40, 40)
    kind, content = bytes_of(example["film"])
    with Image.open(io.BytesIO(content)) as film:
        assert (kind, film.format, film.n_frames) == ("image/gif", "GIF", 2)  # type: ignore[attr-defined]
    kind, content = bytes_of(example["speech"])
    with wave.open(io.BytesIO(content)) as sound:
        assert (kind, sound.getframerate(), sound.getnframes()) == ("audio/wav", 8_000, 80)
    assert bytes_of(example_inputs.WORDS) == ("text/plain", b"Say hello.")


@pytest.mark.parametrize("words", ["it's $(here) `now`", 'a "quoted" \\ word', "</script>"])
def test_a_publishers_own_words_stay_inside_the_snippets_strings(words: str) -> None:
    example = {"text": words, "flip": True, "many": [None, False, 1.5]}
    found = snippets.prediction("acme/one", "ab" * 32, example=example, site_url="https://here.test")
    sent = shlex.split(found["curl"].replace("\\\n", " "))
    assert json.loads(sent[sent.index("-d") + 1])["input"] == example
    call = ast.parse(found["python"]).body[3]
    assert isinstance(call, ast.Assign)
    assert isinstance(call.value, ast.Call)
    assert ast.literal_eval(call.value.keywords[0].value) == example
