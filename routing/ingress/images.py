"""POST /images (OpenRouter's) and /images/generations (OpenAI's) as callers write them, and the answer."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from routing.canonical import Image, Json
from routing.ingress import fields
from routing.ingress.openai_chat import MAX_MODELS, read_object
from routing.ingress.openai_chat_answers import Bill, dollars
from routing.ingress.preferences import read_preferences
from routing.operations.images import MAX_PICTURES, MAX_PROMPT, TIERS, ImagesRequest, Pictures

MAX_REFERENCES: Final = 16
MAX_SIDE: Final = 8_192
SIZE: Final = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})")
RATIO: Final = re.compile(r"\d{1,2}(?:\.\d)?:\d{1,2}(?:\.\d)?")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "quality": ("auto", "low", "medium", "high", "standard", "hd"),
    "style": ("vivid", "natural"),
    "background": ("auto", "transparent", "opaque"),
    "output_format": ("png", "jpeg", "webp", "svg"),
    "resolution": tuple(TIERS),
    "response_format": ("b64_json", "url"),
}


def parse(body: bytes) -> ImagesRequest:
    """The request that the body asks for. Raises InvalidRequest naming the field."""
    data = read_object(body)
    fields.refuse_stream(data, "pictures come whole, in one answer")
    prompt = fields.text(data, "prompt", most=MAX_PROMPT)
    if not prompt:
        raise fields.wrong("prompt", "must be a non-empty string")
    chosen = {name: _choice(data, name) for name in CHOICES}
    size = None if data.get("size") == "auto" else fields.text(data, "size")
    if size in TIERS:
        chosen["resolution"], size = size, None
    ratio = None if data.get("aspect_ratio") == "auto" else fields.text(data, "aspect_ratio")
    if ratio is not None and (not RATIO.fullmatch(ratio) or not all(map(float, ratio.split(":")))):
        raise fields.wrong("aspect_ratio", 'must be like "16:9"')
    if size is not None and (ratio or chosen["resolution"]):
        raise fields.wrong("size", "in pixels says it all: leave out resolution and aspect_ratio")
    return ImagesRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        prompt=prompt,
        n=fields.integer(data, "n", least=1, most=MAX_PICTURES) or 1,
        size=_pixels(size) if size is not None else None,
        resolution=chosen["resolution"],
        aspect_ratio=ratio,
        quality=chosen["quality"],
        style=chosen["style"],
        background=chosen["background"],
        output_format=chosen["output_format"],
        output_compression=fields.integer(data, "output_compression", least=0, most=100),
        seed=fields.integer(data, "seed", least=0, most=2**63 - 1),
        references=_references(data.get("input_references")),
        user=fields.text(data, "user", most=512),
        as_url=chosen["response_format"] == "url",
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
    )


def write(answer: Pictures, *, created: int, bill: Bill, urls: Sequence[str] = ()) -> bytes:
    """The answer: data, or links where `urls` has one for each picture."""
    rows = []
    for place, one in enumerate(answer.items):
        row: dict[str, Json] = {"url": urls[place]} if urls else {"b64_json": one.data}
        row["media_type"] = one.media_type
        if one.revised_prompt:
            row["revised_prompt"] = one.revised_prompt
        rows.append(row)
    tokens_in, tokens_out = bill.usage.prompt_tokens, answer.tokens_out or 0
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "cost": dollars(bill.cost_nano),
    }
    return orjson.dumps({"created": created, "data": rows, "usage": usage})


def _choice(data: Mapping[str, Json], name: str) -> str | None:
    value = fields.text(data, name)
    if value is not None and value not in CHOICES[name]:
        raise fields.wrong(name, f"must be one of {', '.join(CHOICES[name])}")
    return value


def _pixels(size: str) -> tuple[int, int]:
    found = SIZE.fullmatch(size)
    if found is None or max(map(int, found.groups())) > MAX_SIDE:
        raise fields.wrong("size", f'must be like "1024x1024", up to {MAX_SIDE} a side, or one of {", ".join(TIERS)}')
    return int(found[1]), int(found[2])


def _references(value: Json) -> tuple[Image, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_REFERENCES:
        raise fields.wrong("input_references", f"must be an array of at most {MAX_REFERENCES} image_url parts")
    return tuple(_reference(part, f"input_references[{place}]") for place, part in enumerate(value))


def _reference(part: Json, where: str) -> Image:
    inner = part.get("image_url") if isinstance(part, dict) else None
    url = inner.get("url") if isinstance(inner, dict) else None
    if not isinstance(url, str) or not url:
        raise fields.wrong(where, 'must be {"type": "image_url", "image_url": {"url": …}}')
    return Image(fields.address(url, where=f"{where}.image_url.url"))
