"""The chat dialects' official clients against the whole system: each runs its scenarios once, a test looks at each."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.clients import environments
from tests.journeys.hosting import customer
from tests.servers.system import System

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

COUNTING = ("google-genai", "anthropic", "anthropic-0.84", "anthropic-js")  # they can ask what a prompt counts
CLIENTS = (
    *COUNTING, "openai chat", "openai responses", "openai-js chat", "openai-js responses", "langchain-openai",
    "litellm", "mistralai", "cohere", "openrouter-ai-sdk",
)  # fmt: skip
MODEL = "google/gemini-2.5-flash"  # served by three simulated providers, and reads pictures


def png() -> bytes:
    """A picture of one white dot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\x00\xff")) + chunk(b"IEND", b"")


Told = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def told(embedded: System) -> Told:
    """What a client told once it has run; it runs at most once."""
    payer = customer(embedded, name="clients")

    @cache
    def run(client: str) -> dict[str, Any]:
        picture = base64.b64encode(png()).decode()
        where = {"BASE_URL": embedded.base_url, "TOKEN": payer.key, "MODEL": MODEL, "PICTURE": picture}
        name, *api = client.split()
        found: dict[str, Any] = environments.run(name, *api, within=300, **where)
        return found

    return run


def is_said(text: object, *, of: str) -> bool:
    """Whether it is a simulated provider's answer to words that end so; it repeats them."""
    return isinstance(text, str) and "simulated] You said:" in text and of in text


@pytest.mark.parametrize("client", CLIENTS)
def test_a_plain_answer_says_why_it_ended_and_what_it_used(told: Told, client: str) -> None:
    text, reason, has_usage = told(client)["plain"]
    assert is_said(text, of="Say hello")
    assert (str(reason).lower() in {"stop", "end_turn", "complete", "completed"}, has_usage) == (True, True)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_comes_in_pieces(told: Told, client: str) -> None:
    text, in_pieces = told(client)["streaming"]
    assert is_said(text, of="Say hello")
    assert in_pieces is True


@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_is_called_and_its_result_answered(told: Told, client: str) -> None:
    asked, text = told(client)["tools"]
    assert asked == ["simulated"]
    assert is_said(text, of="rain")


@pytest.mark.parametrize("client", CLIENTS)
def test_structured_output_is_parsed_by_the_client(told: Told, client: str) -> None:
    assert told(client)["structured"] == "simulated"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_picture_reaches_the_provider(told: Told, client: str) -> None:
    assert is_said(told(client)["images"], of="What is this? image_url")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_key_is_the_clients_own_error(told: Told, client: str) -> None:
    assert told(client)["wrong_key"][0] == 401


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unknown_model_is_the_clients_own_error_and_named(told: Told, client: str) -> None:
    status, is_named = told(client)["unknown_model"]
    assert (status in {400, 404}, is_named) == (True, True)


@pytest.mark.parametrize("client", COUNTING)
def test_tokens_are_counted(told: Told, client: str) -> None:
    assert told(client)["counts"] is True
