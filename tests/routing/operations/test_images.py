"""Pictures between callers and providers: wishes, sizes, dialects, what is charged."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest

from marketplace.lib.errors import InvalidRequest
from routing.adapters.base import Target
from routing.adapters.registry import EXCHANGES, exchange_for
from routing.canonical import UpstreamError, Usage
from routing.ingress import images as ingress
from routing.operations.images import IMAGES, ImagesRequest, Picture, Pictures

PNG = b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 8).decode()
PART = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}


def read(**fields: Any) -> ImagesRequest:
    return ingress.parse(orjson.dumps({"model": "m", "prompt": "a boat"} | fields))


def body(kind: str, upstream: str = "painter-1", **fields: Any) -> Any:
    target = Target("https://up.example/v1", upstream, {"api_key": "secret"})
    request = exchange_for("images", kind).build(read(**fields), target=target)
    assert request.url == "https://up.example/v1/images/generations"
    return orjson.loads(request.body)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": ""}, "prompt"),
        ({"n": 11}, "'n'"),
        ({"stream": True}, "'stream' cannot be true: pictures come whole"),
        ({"size": "big"}, "1024x1024"),
        ({"size": "9999x10"}, "8192"),
        ({"size": "512x512", "aspect_ratio": "16:9"}, "leave out"),
        ({"aspect_ratio": "16:0"}, "aspect_ratio"),
        ({"quality": "ultra"}, "quality"),
        ({"response_format": "tiff"}, "response_format"),
        ({"input_references": [{}]}, r"input_references\[0\]"),
        ({"input_references": [PART] * 17}, "16"),
    ],
)
def test_what_is_malformed_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(**fields)


@pytest.mark.parametrize(
    ("fields", "pixels"),
    [
        ({}, None),
        ({"size": "auto"}, None),
        ({"size": "640x480"}, (640, 480)),
        ({"size": "2K"}, (2_048, 2_048)),
        ({"aspect_ratio": "16:9"}, (1_344, 768)),
        ({"size": "2K", "aspect_ratio": "1:2"}, (1_472, 2_880)),
    ],
)
def test_sizes_are_pixels_tiers_or_shapes(fields: dict[str, Any], pixels: Any) -> None:
    assert read(**fields).pixels == pixels


def test_each_dialect_is_asked_for_data_in_its_own_words() -> None:
    wishes: dict[str, Any] = {
        "n": 2,
        "size": "512x512",
        "quality": "low",
        "seed": 7,
        "user": "u",
        "output_format": "webp",
    }
    plain = {"model": "painter-1", "prompt": "a boat", "n": 2}
    assert body("openai_chat", **wishes) == plain | {
        "size": "512x512", "quality": "low", "user": "u", "output_format": "webp",
    }  # fmt: skip
    assert body("openai_chat", "dall-e-3")["response_format"] == "b64_json"
    assert body("openai_chat", aspect_ratio="9:16")["size"] == "1024x1536"
    assert body("generic", **wishes) == plain | {
        "size": "512x512", "quality": "low", "seed": 7, "response_format": "b64_json",
    }  # fmt: skip
    assert body("together", input_references=[PART], **wishes) == plain | {
        "width": 512, "height": 512, "seed": 7, "output_format": "webp", "response_format": "base64",
        "image_url": "https://x.example/a.png",
    }  # fmt: skip


@pytest.mark.parametrize("kind", sorted(EXCHANGES["images"].keys() - {"together"}))
def test_reference_pictures_are_left_to_who_takes_them(kind: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        body(kind, input_references=[PART])
    assert caught.value.retryable
    assert IMAGES.need(read(input_references=[PART])).inputs == {"text", "image"}


def test_answers_tell_their_media_type_by_their_first_bytes() -> None:
    rows = [
        {"b64_json": PNG, "revised_prompt": "a big boat"},
        {"b64_json": b64encode(b"\xff\xd8\xff\xe0" * 4).decode()},
    ]
    data = {"data": rows, "usage": {"input_tokens": 3, "output_tokens": 1_056}}
    found = exchange_for("images", "openai_chat").parse_answer(orjson.dumps(data))
    assert [one.media_type for one in found.items] == ["image/png", "image/jpeg"]
    assert (found.items[0].revised_prompt, found.tokens_in, found.tokens_out) == ("a big boat", 3, 1_056)
    for bad in ({"url": "https://x.example/a.png"}, {"b64_json": "?" * 20}):
        with pytest.raises(UpstreamError):
            exchange_for("images", "xai").parse_answer(orjson.dumps({"data": [bad]}))


def test_no_picture_and_too_many_are_refused() -> None:
    one = Picture(PNG, "image/png")
    for items in ([], [one, one]):
        with pytest.raises(UpstreamError):
            IMAGES.check(read(), Pictures(items))
    IMAGES.check(read(n=3), Pictures([one]))  # a provider may give fewer


def test_what_comes_is_charged() -> None:
    one = Picture(PNG, "image/png")
    assert IMAGES.need(read(n=3)).units == {"generated_image": 3, "image_output": 3 * 8_192}
    told = IMAGES.used(read(n=3), Pictures([one, one], 5, 2_112))
    assert (told.usage, told.units["generated_image"], told.units["image_output"]) == (Usage(5), 2, 2_112)
    untold = IMAGES.used(read(), Pictures([one]))
    assert (untold.usage.source, untold.units["image_output"]) == ("counted", 4_096)
