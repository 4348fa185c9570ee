"""Guardrails on chats: what is refused, what goes out instead, and that the provider never sees the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from billing.models import Hold
from marketplace.models import Guardrail
from marketplace.services import guardrails
from marketplace.services.guardrails import Policy
from routing.canonical import ChatRequest, Message, Text, ToolCall, ToolResult
from routing.operations.embeddings import EmbeddingsRequest, Tokens
from routing.services import guards
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]


def bind(who: Buyer, **values: Any) -> Guardrail:
    row = guardrails.create(account=who.account, values={"name": "Rules", **values})
    guardrails.assign_keys(row=row, keys=list(who.account.keys.all()))
    return row


def ask(gateway: str, who: Buyer, text: str = "hello", **more: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": "acme/small", "messages": [{"role": "user", "content": text}], "max_tokens": 20} | more
    headers = {"authorization": f"Bearer {who.key}"}
    answer = httpx.post(f"{gateway}/api/v1/chat/completions", json=body, headers=headers, timeout=30)
    found: dict[str, Any] = answer.json()
    return answer.status_code, found


def test_what_is_redacted_never_reaches_the_provider(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    bind(
        alice,
        content_filter_builtins=[{"slug": "email", "action": "redact"}],
        content_filters=[{"pattern": "PRJ-[0-9]+", "action": "redact", "label": "PROJECT"}],
    )
    assert ask(gateway, alice, "Write to bob@example.com about PRJ-77")[0] == 200
    sent = json.dumps(provider.simulator.received[-1].body)
    assert "Write to [EMAIL] about [PROJECT]" in sent
    assert "bob@" not in sent


def test_what_is_blocked_costs_nothing_and_goes_nowhere(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    bind(alice, content_filter_builtins=[{"slug": "credit-card", "action": "block", "label": "a card number"}])
    status, said = ask(gateway, alice, "pay with 4111 1111 1111 1111")
    assert status == 403
    assert "Rules" in said["error"]["message"]
    assert said["error"]["metadata"]["patterns"] == ["a card number"]
    assert "4111" not in json.dumps(said)
    assert provider.calls == 0
    assert not Hold.objects.exists()


def test_models_and_providers_are_narrowed(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    one, two = simulate("one"), simulate("two")
    endpoint(one.base_url, provider="sim-one")
    endpoint(two.base_url, provider="sim-two", per_million={"prompt": "9", "completion": "9"})
    endpoint(two.base_url, provider="sim-two", model_slug="other/big")
    row = bind(alice, allowed_models=["acme/*"], ignored_providers=["sim-one"])
    status, answer = ask(gateway, alice)
    assert (status, answer["provider"]) == (200, "Sim-Two")
    status, said = ask(gateway, alice, model="other/big")
    assert (status, said["error"]["metadata"]["models"]) == (403, ["other/big"])
    # A fallback that may be used stands in for a model that may not.
    status, answer = ask(gateway, alice, model="other/big", models=["acme/small"])
    assert (status, answer["model"]) == (200, "acme/small")
    guardrails.change(row=row, values={"allowed_providers": ["elsewhere"]})
    status, said = ask(gateway, alice)
    assert (status, said["error"]["metadata"]["providers"]) == (403, ["sim-one", "sim-two"])


def test_a_refused_model_is_reached_by_no_other_name(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    provider = simulate()
    endpoint(provider.base_url, model_slug="acme/good-1", per_million={"prompt": "9", "completion": "9"})
    endpoint(provider.base_url, model_slug="acme/bad-1")
    row = bind(alice, ignored_models=["acme/bad-1"])
    for name in ("acme/bad-1", "acme/bad-1:floor", "acme/bad-1:nitro", "~acme/bad-latest"):
        status, said = ask(gateway, alice, model=name)
        assert (status, said["error"]["metadata"]["models"]) == (403, ["acme/bad-1"]), name
    assert ask(gateway, alice, model="auto")[1]["model"] == "acme/good-1"
    # What may be used may be used by its other names too.
    guardrails.change(row=row, values={"ignored_models": [], "allowed_models": ["acme/good-1"]})
    for name in ("acme/good-1:floor", "~acme/good-latest", "auto", "auto:floor"):
        status, answer = ask(gateway, alice, model=name)
        assert (status, answer["model"]) == (200, "acme/good-1"), name


def test_zero_retention_is_enforced(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate("keeps").base_url, provider="keeps")
    endpoint(
        simulate("zdr").base_url, provider="zdr", policy={"zdr": True}, per_million={"prompt": "9", "completion": "9"}
    )
    bind(alice, enforce_zdr=True)
    assert ask(gateway, alice)[1]["provider"] == "Zdr"
    status, said = ask(gateway, alice, provider={"only": ["keeps"]})
    assert status == 404
    assert "data_policy:zdr" in said["error"]["metadata"]["availability"]["excluded_by"]


def test_a_spent_budget_is_a_403_that_names_it(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    bind(alice, limit_nano=10, limit_reset="weekly")
    for more in ({"max_tokens": 1000}, {"max_tokens": None}):
        status, said = ask(gateway, alice, **more)
        assert status == 403
        assert said["error"]["metadata"]["limit_source"] == "guardrail"
        assert said["error"]["metadata"]["interval"] == "weekly"


class TestParts:
    """Every text of a message is looked at."""

    POLICY = Policy(names=("Rules",), filters=guardrails.merged([Guardrail(
        name="Rules", content_filters=[{"pattern": "secret", "action": "redact", "label": "X"}],
        content_filter_builtins=[
            {"slug": "ssn", "action": "redact", "label": "SSN", "scan_scope": "user_only"},
        ],
    )]).filters)  # fmt: skip

    def screened(self, *messages: Message) -> tuple[Message, ...]:
        return guards.screened(ChatRequest(model="a/b", messages=messages), self.POLICY).messages

    def test_tool_calls_and_results(self) -> None:
        call = ToolCall("1", "look", '{"for": "secret"}')
        result = ToolResult("1", (Text("the secret"),))
        found = self.screened(Message("assistant", (call,)), Message("tool", (result,)))
        assert found[0].parts == (ToolCall("1", "look", '{"for": "[X]"}'),)
        assert found[1].parts == (ToolResult("1", (Text("the [X]"),)),)

    def test_some_filters_read_only_what_the_user_says(self) -> None:
        words = (Text("536-90-4399"),)
        found = self.screened(Message("system", words), Message("user", words))
        assert found[0].parts == words
        assert found[1].parts == (Text("[SSN]"),)

    def test_what_is_no_chat(self) -> None:
        asked = EmbeddingsRequest(model="a/b", inputs=((Text("my secret"),), Tokens((1, 2))))
        assert guards.screened(asked, self.POLICY).inputs == ((Text("my [X]"),), Tokens((1, 2)))
