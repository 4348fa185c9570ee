"""A prompt that was read before is sent where it is cached, where that costs less; over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from billing.models import Charge
from routing.models import Generation
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]

INSTRUCTIONS = "You answer for the Acme Company, shortly and friendly. " * 150  # about 2,000 tokens
CACHING = {"prompt": "1.00", "completion": "2.00", "cached_read": "0.10"}
CHEAPER = {"prompt": "0.90", "completion": "2.00"}


def ask(gateway: str, who: Buyer, *said: str, system: str = INSTRUCTIONS, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}]
    messages += [{"role": ("user", "assistant")[i % 2], "content": words} for i, words in enumerate(said)]
    body = {"model": "acme/small", "messages": messages, "max_tokens": 20} | fields
    answer = httpx.post(
        f"{gateway}/api/v1/chat/completions", json=body, headers={"authorization": f"Bearer {who.key}"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def two(simulate: Simulate, money: None) -> None:
    """One that caches prompts from 1,024 tokens on, and one that is a little cheaper and does not."""
    caching, cheaper = simulate("sim-caching", cache_from=1_024), simulate("sim-cheaper")
    endpoint(caching.base_url, provider="sim-caching", per_million=CACHING)
    endpoint(cheaper.base_url, provider="sim-cheaper", per_million=CHEAPER)


@pytest.mark.usefixtures("two")
def test_another_conversation_with_the_same_instructions_goes_where_they_are_cached(gateway: str, alice: Buyer) -> None:
    first = ask(gateway, alice, "Hello")
    assert first["provider"] == "Sim-Cheaper"
    ask(gateway, alice, "Hello", provider={"only": ["sim-caching"]})
    other = ask(gateway, alice, "A different question")
    assert other["provider"] == "Sim-Caching"
    assert other["usage"]["prompt_tokens_details"]["cached_tokens"] > 1_500
    assert other["usage"]["cost"] < first["usage"]["cost"] / 3
    stranger = ask(gateway, alice, "Hello", system="Something else. " * 500)
    assert stranger["provider"] == "Sim-Cheaper"


@pytest.mark.usefixtures("two")
def test_a_conversation_stays_turn_after_turn_and_pays_for_what_is_new(gateway: str, alice: Buyer) -> None:
    ask(gateway, alice, "Hello", provider={"only": ["sim-caching"]})
    said = ["Hello"]
    for turn in range(4):
        said += [f"Answer {turn} " * 40, f"Question {turn} " * 40]
        found = ask(gateway, alice, *said)
        assert found["provider"] == "Sim-Caching"
        usage = found["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] > 0.75 * usage["prompt_tokens"]
    charged = Charge.objects.order_by("pk").last()
    assert charged is not None
    assert charged.amount_nano < usage["prompt_tokens"] * 400  # of 1,000 without a cache


@pytest.mark.usefixtures("two")
def test_why_it_went_there_is_kept_with_the_generation(gateway: str, alice: Buyer) -> None:
    ask(gateway, alice, "Hello", provider={"only": ["sim-caching"]})
    found = ask(gateway, alice, "Another")
    assert found["provider"] == "Sim-Caching"
    choice = Generation.objects.order_by("created_at").last().choice["choice"]  # type: ignore[union-attr]
    cached = {one["provider"]: one["cached"] for one in choice["endpoints"]}
    assert cached["Sim-Caching"] > 1_000
    assert cached["Sim-Cheaper"] == 0


def test_a_provider_that_finds_nothing_again_is_believed(gateway: str, alice: Buyer, simulate: Simulate) -> None:
    """It has a price for cached input and never reports any."""
    claims, cheaper = simulate("sim-claims"), simulate("sim-cheaper")
    endpoint(claims.base_url, provider="sim-claims", per_million=CACHING)
    endpoint(cheaper.base_url, provider="sim-cheaper", per_million=CHEAPER)
    ask(gateway, alice, "Hello", provider={"only": ["sim-claims"]})
    went = [ask(gateway, alice, f"Question {i}")["provider"] for i in range(8)]
    assert went[0] == "Sim-Claims"
    assert went[-1] == "Sim-Cheaper"


@pytest.mark.usefixtures("two")
def test_an_account_learns_nothing_of_what_another_one_sent(gateway: str, alice: Buyer) -> None:
    for provider in ("sim-cheaper", "sim-caching"):
        ask(gateway, alice, "Hello", provider={"only": [provider]})
    bob = buyer(email="bob@example.com")
    assert ask(gateway, bob, "Another")["provider"] == "Sim-Cheaper"
    assert ask(gateway, alice, "Another")["provider"] == "Sim-Caching"
