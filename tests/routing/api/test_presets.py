"""Presets: kept through the API, laid under requests that name them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from marketplace.lib.errors import InvalidRequest
from routing.canonical import ChatRequest, Message, ProviderPreferences, Text, ToolSpec
from routing.models import PresetVersion
from routing.services import presets
from tests.factories.marketplace import account
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]


def ask(gateway: str, who: Buyer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {who.key}"}
    answer = httpx.request(method, f"{gateway}/api/v1{path}", json=body, headers=headers, timeout=30)
    return answer.status_code, answer.json()


def kept(gateway: str, who: Buyer, **body: Any) -> dict[str, Any]:
    status, said = ask(gateway, who, "POST", "/presets/kind/chat/completions", body)
    assert status == 200, said
    data: dict[str, Any] = said["data"]
    return data


SYSTEM = {"role": "system", "content": "Be kind."}


@pytest.mark.parametrize(
    "named",
    [
        {"model": "@preset/kind"},
        {"model": "acme/small@preset/kind"},
        {"model": "acme/small", "preset": "kind"},
        {"preset": "kind"},
    ],
)
def test_a_request_that_names_it_goes_out_as_it_says(
    gateway: str, simulate: Simulate, alice: Buyer, named: dict[str, str]
) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    kept(gateway, alice, model="acme/small", messages=[SYSTEM], temperature=0.25, max_tokens=7)
    body = {"messages": [{"role": "user", "content": "hello"}]} | named
    status, answer = ask(gateway, alice, "POST", "/chat/completions", body)
    assert (status, answer["model"]) == (200, "acme/small")
    sent = provider.simulator.received[-1].body
    assert [one["role"] for one in sent["messages"]] == ["system", "user"]
    assert (sent["temperature"], sent["max_completion_tokens"]) == (0.25, 7)


def test_versions_are_kept_and_the_newest_counts(gateway: str, alice: Buyer) -> None:
    first = kept(gateway, alice, model="acme/small", messages=[SYSTEM, {"role": "user", "content": "canary"}])
    assert first["designated_version"]["system_prompt"] == "Be kind."
    assert "canary" not in json.dumps(first)
    second = kept(gateway, alice, model="acme/large", stream=True, user="someone")
    assert (second["id"], second["designated_version"]["version"]) == (first["id"], 2)
    assert second["designated_version"]["config"] == {"model": "acme/large"}
    status, versions = ask(gateway, alice, "GET", "/presets/kind/versions")
    assert (status, [one["version"] for one in versions["data"]]) == (200, [2, 1])
    assert ask(gateway, alice, "GET", "/presets/kind/versions/1")[1]["data"] == first["designated_version"]
    assert ask(gateway, alice, "GET", "/presets/kind")[1]["data"] == second
    assert ask(gateway, alice, "GET", "/presets")[1]["total_count"] == 1
    for wrong in ("/presets/none", "/presets/kind/versions/3", "/presets/kind/versions/x"):
        assert ask(gateway, alice, "GET", wrong)[0] == 404


def test_a_disabled_one_and_a_strangers_cannot_be_asked_with(gateway: str, alice: Buyer) -> None:
    kept(gateway, alice, model="acme/small")
    status, said = ask(gateway, alice, "PATCH", "/presets/kind", {"status": "disabled", "name": "Kindness"})
    assert (status, said["data"]["status"], said["data"]["name"]) == (200, "disabled", "Kindness")
    body = {"model": "@preset/kind", "messages": [{"role": "user", "content": "hello"}]}
    charlie = buyer(email="charlie@example.com")
    for who, why in ((alice, "is not active"), (charlie, "is not there")):
        status, said = ask(gateway, who, "POST", "/chat/completions", body)
        assert (status, why in said["error"]["message"]) == (400, True)
    assert ask(gateway, charlie, "GET", "/presets/kind")[0] == 404


def test_bodies_of_the_other_dialects(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    for path, body in (
        ("messages", {"model": "acme/small", "system": "Be brief.", "temperature": 0.5}),
        ("responses", {"model": "acme/small", "instructions": "Be brief.", "temperature": 0.5}),
    ):
        status, said = ask(gateway, alice, "POST", f"/presets/{path}/{path}", body)
        assert (status, said["data"]["designated_version"]["system_prompt"]) == (200, "Be brief.")
        chat = {"model": f"@preset/{path}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
        assert ask(gateway, alice, "POST", "/chat/completions", chat)[0] == 200
    message = {"model": "@preset/messages", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    assert ask(gateway, alice, "POST", "/messages", message)[0] == 200


@pytest.mark.parametrize(
    ("slug", "body"),
    [
        ("Kind!", {"model": "acme/small"}),
        ("kind", {"model": "@preset/other"}),
        ("kind", {"model": "acme/small", "temperature": 9}),
        ("kind", {"model": "acme/small", "provider": "cheap"}),
        ("kind", {"model": "acme/small", "messages": [{"role": "system", "content": "x" * 300_000}]}),
    ],
)
def test_what_cannot_be_kept_is_a_400(gateway: str, alice: Buyer, slug: str, body: dict[str, Any]) -> None:
    status, said = ask(gateway, alice, "POST", f"/presets/{slug}/chat/completions", body)
    assert (status, said["error"]["code"]) == (400, 400)
    assert not PresetVersion.objects.exists()


def test_the_preset_default_is_the_accounts_defaults_until_it_is_taken_out_of_use(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    for provider in ("sim-one", "sim-two"):
        endpoint(simulate(provider).base_url, provider=provider, policy={"zdr": provider == "sim-two"})
    body = {"model": "acme/small", "provider": {"zdr": True, "order": ["sim-one"]}, "max_tokens": 5}
    assert ask(gateway, alice, "POST", "/presets/default/chat/completions", body)[0] == 200
    chat: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
    for asked in (chat, chat | {"model": "acme/small"}, chat | {"provider": {"only": ["sim-two"], "zdr": False}}):
        status, answer = ask(gateway, alice, "POST", "/chat/completions", asked)
        assert (status, answer["provider"], answer["usage"]["completion_tokens"]) == (200, "Sim-Two", 5)
    assert ask(gateway, alice, "PATCH", "/presets/default", {"status": "disabled"})[0] == 200
    assert ask(gateway, alice, "POST", "/chat/completions", chat)[0] == 400
    status, answer = ask(gateway, alice, "POST", "/chat/completions", chat | {"model": "acme/small"} | body)
    assert (status, answer["provider"]) == (200, "Sim-Two")


@pytest.mark.parametrize(
    ("adds", "asks", "status", "fields", "way_out"),
    [
        ({"provider": {"only": ["else"]}}, {}, 404, ["provider.only"], "say provider.only in the request, or keep"),
        ({"provider": {"zdr": True}}, {}, 404, ["provider.zdr"], "here: keep the preset without, or disable it"),
        ({"provider": {"max_price": {"prompt": 0}}, "temperature": 1}, {}, 404, ["provider.max_price"], "say"),
        ({"provider": {"data_collection": "deny"}, "max_tokens": 9}, {}, 404, ["provider.data_collection"], "keep"),
        ({"provider": {"enforce_distillable_text": True}}, {}, 404, ["provider.enforce_distillable_text"], "keep"),
        ({"logprobs": True}, {"provider": {"require_parameters": True}}, 404, ["logprobs"], "say logprobs"),
        ({"model": "acme/gone"}, {"model": None}, 400, ["model"], "say model in the request"),
        ({"max_tokens": 999_999}, {}, 400, ["max_tokens"], "say max_tokens"),
        ({"temperature": 1}, {"model": "acme/gone"}, 400, None, ""),
        ({"provider": {"only": ["sim-one"]}}, {"max_tokens": 999_999}, 400, None, ""),
    ],
)  # fmt: skip
def test_a_chat_that_the_preset_default_keeps_from_being_served_says_so(
    gateway: str, simulate: Simulate, alice: Buyer, adds: dict[str, Any], asks: dict[str, Any], status: int,
    fields: list[str] | None, way_out: str,
) -> None:  # fmt: skip
    endpoint(simulate().base_url)
    assert ask(gateway, alice, "POST", "/presets/default/chat/completions", adds)[0] == 200
    chat = {"model": "acme/small", "messages": [{"role": "user", "content": "hello"}]} | asks
    found, said = ask(gateway, alice, "POST", "/chat/completions", {k: v for k, v in chat.items() if v is not None})
    error = said["error"]
    assert (found, error["metadata"].get("preset", {}).get("fields")) == (status, fields)
    assert ("preset 'default', which is laid under every chat" in error["message"]) is (fields is not None)
    assert way_out in error["message"]


def test_a_preset_of_another_name_is_named_too_and_so_is_one_that_cannot_be_read_any_more(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    endpoint(simulate().base_url)
    kept(gateway, alice, provider={"only": ["else"]})
    chat = {"model": "acme/small@preset/kind", "messages": [{"role": "user", "content": "hello"}]}
    status, said = ask(gateway, alice, "POST", "/chat/completions", chat)
    assert status == 404
    assert "The account's preset 'kind' adds provider.only here" in said["error"]["message"]
    PresetVersion.objects.update(config={"provider": {"whom": "else"}})
    status, said = ask(gateway, alice, "POST", "/chat/completions", chat)
    assert status == 400
    assert "preset 'kind' cannot be used as kept: 'provider.whom' is not known" in said["error"]["message"]


@pytest.mark.django_db
def test_what_the_request_says_itself_wins() -> None:
    owner = account()
    presets.keep(
        account_id=owner.pk,
        slug="kind",
        dialect="chat",
        body={
            "model": "acme/small",
            "models": ["acme/large"],
            "temperature": 0.1,
            "top_p": 0.5,
            "max_tokens": 100,
            "provider": {"order": ["one"], "zdr": True},
            "tools": [
                {"type": "function", "function": {"name": "look", "description": "theirs"}},
                {"type": "function", "function": {"name": "find"}},
            ],
        },
    )
    asked = ChatRequest(
        model="", preset="kind", messages=(Message("user", (Text("hi"),)),), max_tokens=5,
        tools=(ToolSpec("look", "mine"),), parameters={"temperature": 0.9},
        preferences=ProviderPreferences(order=("two",)), input_bytes=10,
    )  # fmt: skip
    found = presets.applied(asked, account_id=owner.pk).request
    assert found.wanted_models == ("acme/small", "acme/large")
    assert found.max_tokens == 5
    assert found.parameters == {"temperature": 0.9, "top_p": 0.5}
    assert (found.preferences.order, found.preferences.zdr) == (("two",), True)
    assert [(tool.name, tool.description) for tool in found.tools] == [("look", "mine"), ("find", None)]
    assert found.input_bytes > 200  # the bound knows what the preset adds
    with pytest.raises(InvalidRequest):
        presets.applied(asked, account_id=account(email="charlie@example.com").pk)
