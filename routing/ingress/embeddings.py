"""POST /embeddings as callers write it, and its answer as they read it (OpenAI's shape, with cost)."""

from array import array
from base64 import b64encode
from collections.abc import Mapping, Sequence
from sys import byteorder
from typing import Final

import orjson

from routing.canonical import Image, Json, Text
from routing.ingress import fields
from routing.ingress.openai_chat import MAX_MODELS, read_object
from routing.ingress.openai_chat_answers import Bill, dollars
from routing.ingress.preferences import read_preferences
from routing.operations.embeddings import MAX_INPUTS, Embeddings, EmbeddingsRequest, Input, Tokens

MAX_DIMENSIONS: Final = 16_384
MAX_TOKEN_ID: Final = 2**31
FORMS: Final = 'must be a string, an array of strings, of token arrays or of {"content": [parts]}'


def parse(body: bytes) -> EmbeddingsRequest:
    """The request that the body asks for. Raises InvalidRequest naming the field."""
    data = read_object(body)
    encoding = fields.text(data, "encoding_format") or "float"
    if encoding not in {"float", "base64"}:
        raise fields.wrong("encoding_format", 'must be "float" or "base64"')
    return EmbeddingsRequest(
        model=fields.text(data, "model") or "",
        models=fields.texts(data, "models", most=MAX_MODELS),
        inputs=_inputs(data.get("input")),
        dimensions=fields.integer(data, "dimensions", least=1, most=MAX_DIMENSIONS),
        input_type=fields.text(data, "input_type", most=64),
        user=fields.text(data, "user", most=512),
        base64=encoding == "base64",
        preferences=read_preferences(data.get("provider")),
        session_id=fields.text(data, "session_id", most=256),
    )


def write(answer: Embeddings, *, id: str, model: str, provider: str, bill: Bill, base64: bool) -> bytes:
    """The answer as bytes; base64 is of little-endian 32-bit floats, as OpenAI's clients read it."""
    encode = _base64 if base64 else list
    rows = [
        {"object": "embedding", "index": place, "embedding": encode(vector)}
        for place, vector in enumerate(answer.vectors)
    ]
    tokens = bill.usage.prompt_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "cost": dollars(bill.cost_nano)}
    return orjson.dumps(
        {"object": "list", "id": id, "model": model, "provider": provider, "data": rows, "usage": usage}
    )


def _base64(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()


def _inputs(value: Json) -> tuple[Input, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise fields.wrong("input", FORMS)
    if all(_is_token(item) for item in value):
        return (Tokens(tuple(value)),)
    if len(value) > MAX_INPUTS:
        raise fields.wrong("input", f"has more than {MAX_INPUTS} entries: send them in several requests")
    return tuple(_input(item, f"input[{i}]") for i, item in enumerate(value))


def _input(item: Json, where: str) -> Input:
    if isinstance(item, str):
        if not item:
            raise fields.wrong(where, "is empty: leave it out or give it text")
        return (Text(item),)
    if isinstance(item, list) and item and all(_is_token(token) for token in item):
        return Tokens(tuple(item))
    parts = item.get("content") if isinstance(item, dict) else None
    if isinstance(parts, list) and parts:
        return tuple(_part(part, f"{where}.content[{i}]") for i, part in enumerate(parts))
    raise fields.wrong(where, 'must be a string, an array of tokens or {"content": [parts]}')


def _part(part: Json, where: str) -> Text | Image:
    if isinstance(part, Mapping):
        inner = part.get("image_url")
        if part.get("type") == "text" and isinstance(part.get("text"), str) and part["text"]:
            return Text(part["text"])
        if part.get("type") == "image_url" and isinstance(inner, dict) and isinstance(inner.get("url"), str):
            return Image(fields.address(inner["url"], where=f"{where}.image_url.url"))
    raise fields.wrong(where, "must be a text or an image_url part")


def _is_token(item: Json) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and 0 <= item < MAX_TOKEN_ID
