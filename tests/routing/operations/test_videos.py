"""Films between callers and providers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from marketplace.lib.errors import InvalidRequest
from routing.adapters.base import Target
from routing.adapters.registry import film_exchange_for
from routing.canonical import UpstreamError
from routing.ingress import videos as ingress
from routing.operations import videos
from routing.operations.videos import Job, VideoRequest

TARGET = Target("https://up.example/v1", "sora-2", {"api_key": "secret"})
FRAME = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}, "frame_type": "first_frame"}


def read(**fields: Any) -> VideoRequest:
    return ingress.parse(orjson.dumps({"model": "m", "prompt": "a boat"} | fields))[0]


def body(**fields: Any) -> Any:
    return orjson.loads(film_exchange_for("generic").build(read(**fields), target=TARGET).body)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": ""}, "prompt"),
        ({"duration": 61}, "duration"),
        ({"size": "big"}, "size"),
        ({"resolution": "8K"}, "resolution"),
        ({"frame_images": [FRAME, FRAME]}, r"frame_images\[1\]"),
        ({"input_references": [{}]}, "input_references"),
    ],
)
def test_what_is_malformed_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(**fields)


def test_what_is_reserved_is_what_is_asked_for() -> None:
    assert videos.need(read()).units == videos.used(read()).units == {"video_second": 4}
    shared = {"model": "sora-2", "prompt": "a boat"}
    assert body() == shared | {"seconds": "4", "size": "1280x720"}
    assert body(duration=8, resolution="1080p", aspect_ratio="9:16") == shared | {"seconds": "8", "size": "1024x1792"}
    for unknown in ({"frame_images": [FRAME]}, {"resolution": "4K"}):
        with pytest.raises(UpstreamError) as caught:
            body(**unknown)
        assert caught.value.retryable


def test_a_job_is_asked_after_by_its_quoted_id() -> None:
    exchange = film_exchange_for("openai_chat")
    look = exchange.build_look("a/../b", target=TARGET)
    assert (look.method, look.url) == ("GET", "https://up.example/v1/videos/a%2F..%2Fb")
    assert exchange.build_fetch("a", target=TARGET).url == "https://up.example/v1/videos/a/content"
    failed = {"id": "a", "status": "failed", "error": {"message": "too blue"}}
    assert exchange.parse_answer(orjson.dumps(failed)) == Job("a", "failed", "too blue")
    for bad in (
        {"id": "", "status": "queued"},
        {"id": "a", "status": "dreaming"},
        {"id": "a" * 201, "status": "queued"},
    ):
        with pytest.raises(UpstreamError):
            exchange.parse_answer(orjson.dumps(bad))
