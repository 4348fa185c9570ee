"""POST /videos as callers write it."""

import re
from collections.abc import Mapping
from typing import Final

from routing.canonical import Image, Json
from routing.ingress import fields
from routing.ingress.openai_chat import MAX_MODELS, read_object
from routing.ingress.preferences import read_preferences
from routing.operations.videos import DEFAULT_SECONDS, MAX_PROMPT, MAX_SECONDS, VideoRequest

SIZE: Final = re.compile(r"[1-9]\d{1,3}x[1-9]\d{1,3}")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "resolution": ("480p", "720p", "768p", "1080p", "1K", "2K", "4K"),
    "aspect_ratio": ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21"),
}
FRAMES: Final = ("first_frame", "last_frame")


def parse(body: bytes) -> tuple[VideoRequest, Json]:
    """(the request that the body asks for, its callback_url as it stands). Raises InvalidRequest naming the field."""
    data = read_object(body)
    prompt = fields.text(data, "prompt", most=MAX_PROMPT)
    if not prompt:
        raise fields.wrong("prompt", "must be a non-empty string")
    size = fields.text(data, "size")
    if size is not None and not SIZE.fullmatch(size):
        raise fields.wrong("size", 'must be like "1280x720"')
    if data.get("input_references") or data.get("upscale_factor") or data.get("creativity"):
        raise fields.wrong("input_references", "and upscaling cannot be honoured: no endpoint here has them")
    frames = _frames(data.get("frame_images"))
    request = VideoRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        prompt=prompt,
        seconds=fields.integer(data, "duration", least=1, most=MAX_SECONDS) or DEFAULT_SECONDS,
        size=size,
        resolution=_choice(data, "resolution"),
        aspect_ratio=_choice(data, "aspect_ratio"),
        seed=fields.integer(data, "seed", least=0, most=2**63 - 1),
        first_frame=frames.get("first_frame"),
        last_frame=frames.get("last_frame"),
        sound=fields.flag(data, "generate_audio"),
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
    )
    return request, data.get("callback_url")


def _choice(data: Mapping[str, Json], name: str) -> str | None:
    value = fields.text(data, name)
    if value is not None and value not in CHOICES[name]:
        raise fields.wrong(name, f"must be one of {', '.join(CHOICES[name])}")
    return value


def _frames(value: Json) -> dict[str, Image]:
    if value is None:
        return {}
    if not isinstance(value, list):
        raise fields.wrong("frame_images", "must be an array of image_url parts with a frame_type")
    found: dict[str, Image] = {}
    for place, part in enumerate(value):
        inner = part.get("image_url") if isinstance(part, dict) else None
        url = inner.get("url") if isinstance(inner, dict) else None
        if not isinstance(url, str) or part.get("frame_type") not in FRAMES or part["frame_type"] in found:
            where = f"frame_images[{place}]"
            raise fields.wrong(where, "must be an image_url part whose frame_type is first_frame or last_frame, once")
        found[part["frame_type"]] = Image(fields.address(url, where=f"frame_images[{place}].image_url.url"))
    return found
