"""Cache marks of both kinds on their way to OpenAI, whose newer models know breakpoints and older ones refuse them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.ingress import openai_chat

ANTHROPICS = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
OPENAIS = {"prompt_cache_breakpoint": {"mode": "explicit"}}
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def body(kind: str, upstream: str, mark: dict[str, Any]) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be terse.", **mark}]},
        {"role": "user", "content": [
            {"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PICTURE}, **mark},
        ]},
    ]  # fmt: skip
    request = openai_chat.parse(json.dumps({"model": "m", "messages": messages} | ANTHROPICS).encode())
    target = Target("https://api.test/v1", upstream, {})
    built = adapter_for(kind).build(request, target=target, stream=False, max_tokens=9)
    found: dict[str, Any] = json.loads(built.body)
    return found


@pytest.mark.parametrize("upstream", ["gpt-5.6", "gpt-5.6-mini-2026-07-01", "gpt-5.12", "gpt-6", "openai/gpt-10.1"])
@pytest.mark.parametrize("mark", [ANTHROPICS, OPENAIS], ids=["Anthropic's", "OpenAI's"])
def test_a_mark_becomes_a_breakpoint_on_the_part_and_its_time_is_left_out(upstream: str, mark: dict[str, Any]) -> None:
    chat = body("openai_chat", upstream, mark)
    system, user = chat["messages"]
    assert system["content"] == [{"type": "text", "text": "Be terse.", **OPENAIS}]
    assert user["content"][1] == {"type": "image_url", "image_url": {"url": PICTURE}, **OPENAIS}
    responses = body("openai_responses", upstream, mark)
    system, user = responses["input"]  # a string of instructions could not hold the mark
    assert system["content"] == [{"type": "input_text", "text": "Be terse.", **OPENAIS}]
    assert user["content"][1] == {"type": "input_image", "image_url": PICTURE, "detail": "auto", **OPENAIS}
    assert "instructions" not in responses
    assert "cache_control" not in json.dumps([chat, responses])


@pytest.mark.parametrize("upstream", ["gpt-4o", "gpt-5", "gpt-5.5", "gpt-5-mini", "gpt-4.10", "o3", "my-deployment"])
@pytest.mark.parametrize("kind", ["openai_chat", "openai_responses"])
def test_a_model_that_knows_no_breakpoints_gets_no_mark(kind: str, upstream: str) -> None:
    assert body(kind, upstream, ANTHROPICS) == body(kind, upstream, {})


@pytest.mark.parametrize("kind", ["azure_openai", "groq", "mistral", "xai"])
def test_nobody_elses_parts_are_marked(kind: str) -> None:
    for mark in (ANTHROPICS, OPENAIS):
        assert body(kind, "gpt-5.6", mark) == body(kind, "gpt-5.6", {})
