"""A body over the cap is refused, declared or not, in the form of its path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketplace.lib.bodies import BodyLimit

LIMITS = [("/v1/files", 100), ("", 10)]


async def call(path: str, chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes, list[bytes]]:
    """Status, body, and the chunks that the application behind saw."""
    seen: list[bytes] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            seen.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    waiting = [{"type": "http.request", "body": c, "more_body": n < len(chunks) - 1} for n, c in enumerate(chunks)]

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await BodyLimit(app, limits=LIMITS)({"type": "http", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"], seen


async def test_a_small_body_passes() -> None:
    assert await call("/x", [b"12345", b"67890"], []) == (200, b"fine", [b"12345", b"67890"])


async def test_the_prefix_decides_the_cap() -> None:
    status, _, _ = await call("/v1/files", [b"x" * 100], [])
    assert status == 200


async def test_a_declared_length_is_refused_before_reading() -> None:
    status, body, seen = await call("/api/v1/x", [b"x"], [(b"content-length", b"11")])
    assert (status, seen) == (413, [])
    error = json.loads(body)["error"]
    assert error["code"] == 413
    assert error["metadata"] == {"error_type": "payload_too_large", "limit_bytes": 10}


async def test_an_undeclared_length_is_refused_while_reading() -> None:
    status, _, seen = await call("/x", [b"12345", b"678901"], [])
    assert (status, seen) == (413, [b"12345"])


async def test_hosting_paths_get_a_problem() -> None:
    status, body, _ = await call("/v1/files", [b"x" * 101], [])
    assert status == 413
    assert json.loads(body)["title"] == "Payload too large"


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/v1/chat/completions", ["code", "message", "metadata"]),
        ("/v1/completions", ["code", "message", "metadata"]),
        ("/api/v1/messages", ["type", "message", "error_type"]),
        ("/v1/messages/count_tokens", ["type", "message", "error_type"]),
    ],
)
async def test_inference_paths_get_their_dialects_form(path: str, word: list[str]) -> None:
    status, body, _ = await call(path, [b"x" * 11], [])
    assert status == 413
    assert list(json.loads(body)["error"]) == word


@pytest.mark.parametrize("length", [b"many", b"-5", b""])
def test_a_senseless_length_is_left_to_the_server(length: bytes) -> None:
    from marketplace.lib.bodies import _declared_length

    assert _declared_length({"headers": [(b"content-length", length)]}) == 0
