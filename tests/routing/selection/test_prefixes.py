"""By what prompts that begin alike are known: tools, then messages, at fixed distances and where messages end."""

import dataclasses
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.canonical import ChatRequest
from routing.ingress import anthropic_messages, openai_chat
from routing.selection.prefixes import FIRST, Prefixes, distances, prefixes_of

SYSTEM = "You are a careful assistant of the Acme Company. " * 60
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def asked(*said: str, system: str = SYSTEM, **fields: Any) -> ChatRequest:
    roles = ["user", "assistant"] * len(said)
    messages = [{"role": "system", "content": system}]
    messages += [{"role": role, "content": words} for role, words in zip(roles, said, strict=False)]
    return openai_chat.parse(orjson.dumps({"model": "acme/small", "messages": messages} | fields))


def of(request: ChatRequest, *, tenant: int = 1, model: str = "acme/small", secret: bytes = b"secret") -> Prefixes:
    return prefixes_of(request, secret=secret, tenant=tenant, model=model)


def common(one: Prefixes, other: Prefixes) -> float:
    """The share of the second that the first is known to begin with."""
    return max((share for key, share in zip(other.keys, other.shares, strict=True) if key in one.keys), default=0.0)


def test_the_next_turn_begins_with_the_whole_of_the_one_before() -> None:
    first, second = asked("Hello"), asked("Hello", "Hi, what is it?", "A question " * 50)
    size = len(SYSTEM) + len("Hello")
    assert common(of(first), of(second)) == pytest.approx(size / (size + 16 + 550), abs=0.02)


def test_another_conversation_of_the_same_application_begins_with_its_instructions() -> None:
    one, other = of(asked("Hello")), of(asked("Something else that is asked " * 30))
    assert common(one, other) == pytest.approx(len(SYSTEM) / (len(SYSTEM) + 870), abs=0.02)


def test_what_differs_early_has_little_in_common_and_tools_come_first() -> None:
    assert common(of(asked("Hello")), of(asked("Hello", system="X" + SYSTEM))) == 0.0
    assert common(of(asked("Hello")), of(asked("Hello", tools=[TOOL]))) == 0.0
    assert common(of(asked("Hello", tools=[TOOL])), of(asked("Other", tools=[TOOL]))) > 0.9


def test_a_long_text_that_goes_on_otherwise_is_known_by_three_quarters_at_least() -> None:
    text = "word " * 20_000
    one, other = of(asked(text + "and so on")), of(asked(text + "and otherwise " * 10))
    assert 0.75 < common(one, other) < 1.0


@pytest.mark.parametrize(
    "changed",
    [{"tenant": 2}, {"model": "acme/large"}, {"secret": b"another"}],
    ids=["another account", "another model", "another installation"],
)
def test_the_same_words_have_no_key_in_common_with(changed: Any) -> None:
    request = asked("Hello")
    assert not set(of(request).keys) & set(of(request, **changed).keys)


def test_marks_that_clients_move_from_turn_to_turn_change_nothing() -> None:
    def marked(place: int) -> ChatRequest:
        blocks = [{"type": "text", "text": SYSTEM}, {"type": "text", "text": SYSTEM}]
        blocks[place]["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": blocks}]}
        return anthropic_messages.parse(orjson.dumps(body))

    assert of(marked(0)) == of(marked(1))
    assert of(marked(0)).writes
    assert not of(asked("Hello")).writes


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 600),
        ({"cache_control": {"type": "ephemeral", "ttl": "5m"}}, 600),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, 3_600),
        ({"prompt_cache_options": {"ttl": "24h"}}, 86_400),
    ],
)
def test_a_caller_may_ask_for_longer(fields: Any, seconds: float) -> None:
    assert of(asked("Hello", **fields)).seconds == seconds


def test_a_conversation_has_the_name_that_its_caller_gives_it() -> None:
    named, again, other = (of(asked(words, session_id="s-1")) for words in ("a", "b", "c"))
    assert named.name == again.name == other.name is not None
    assert of(asked("a", prompt_cache_key="s-1")).name not in {None, named.name}
    assert of(asked("a")).name is None


def test_what_is_short_is_not_noted() -> None:
    assert of(asked("Hello", system="Be brief.")).keys == ()


@given(st.lists(st.text(max_size=3_000), min_size=1, max_size=30), st.integers(1, 29))
def test_whatever_is_said_a_beginning_is_known_again(said: list[str], turns: int) -> None:
    """Keys name beginnings in order, few of them, and those that lie in what two prompts share are equal."""
    whole = asked(*said)
    part = dataclasses.replace(whole, messages=whole.messages[: turns + 1])
    found, before = of(whole), of(part)
    assert list(found.shares) == sorted(found.shares)
    assert len(found.keys) == len(found.shares) <= 60
    total = sum(len(f"{text}") for text in (SYSTEM, *said))
    assert not found.shares or found.shares[-1] == 1.0 or total < FIRST
    if before.keys and turns < 8:
        assert before.keys[-1] in found.keys or turns + 1 < len(whole.messages) - 8


def test_distances_grow() -> None:
    found = list(distances(4_000_000))
    assert found[0] == FIRST
    assert len(found) < 45
    assert all(later / sooner <= 1.25 for sooner, later in itertools.pairwise(found))
