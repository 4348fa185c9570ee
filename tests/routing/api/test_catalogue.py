"""The catalogue and the caller's own figures over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as Xml  # what it reads is our own answer

import httpx
import pytest

from marketplace.models import Model, Publisher
from marketplace.services import guardrails
from tests import reference
from tests.factories.routing import Buyer, buyer, endpoint, model
from tests.routing.api.test_chat_completions import HELLO, post
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]


def get(gateway: str, path: str, who: Buyer | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}"} if who else {}
    return httpx.get(f"{gateway}/api/v1/{path}", headers=headers, timeout=30)


def test_models_are_listed_with_prices_for_one_unit(gateway: str, simulate: Simulate) -> None:
    url = simulate().base_url
    endpoint(url, parameters=["tools"], per_million={"prompt": "0.15", "completion": "0.60", "cached_read": "0.075"})
    endpoint(url, provider="sim-dear", per_million={"prompt": "5", "completion": "5"})
    body = get(gateway, "models").json()
    (row,) = body["data"]
    assert row["id"] == "acme/small"
    assert row["pricing"] == {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"}
    assert row["architecture"]["modality"] == "text->text"
    assert row["supported_parameters"] == ["temperature", "tools"]
    assert body["total_count"] == 1
    assert get(gateway, "models/count").json() == {"data": {"count": 1}}
    assert get(gateway, "model/acme/small").json()["data"] == row
    # What OpenAI's clients ask for, and read without an envelope; the slash may be coded.
    for path in ("models/acme/small", "models/acme%2Fsmall"):
        assert get(gateway, path).json() == row | {"object": "model", "owned_by": "acme"}
    # The newest of a family by its alias, in any of the three places.
    alias = "~acme/small-latest"
    aliased = row | {"id": alias, "alias_target": {"name": row["name"], "slug": "acme/small"}}
    assert get(gateway, f"model/{alias}").json()["data"] == aliased
    assert get(gateway, f"models/{alias}").json() == aliased | {"object": "model", "owned_by": "acme"}
    assert get(gateway, f"models/{alias}/endpoints").json()["data"]["id"] == "acme/small"
    assert get(gateway, "model/~acme/other-latest").status_code == 404
    wrong = get(gateway, "models?input_modalities=imag")
    assert (wrong.status_code, wrong.json()["error"]["metadata"]["field"]) == (400, "input_modalities")
    assert "has imag, but takes text, image" in wrong.json()["error"]["message"]
    assert "Did you mean acme/small?" in get(gateway, "models/acme/smal").json()["error"]["message"]


def test_prices_under_conditions_are_told_as_overrides(gateway: str, simulate: Simulate) -> None:
    table = {"prompt": "1.25", "completion": "10", "prompt>200000": "2.50", "completion@1630-0030": "5"}
    endpoint(simulate().base_url, per_million=table)
    (row,) = get(gateway, "models").json()["data"]
    expected = {
        "prompt": "0.00000125",
        "completion": "0.00001",
        "overrides": [
            {"utc_start": 1630, "utc_end": 30, "completion": "0.000005"},
            {"min_prompt_tokens": 200_000, "prompt": "0.0000025"},
        ],
    }
    assert row["pricing"] == expected
    assert get(gateway, "models/acme/small/endpoints").json()["data"]["endpoints"][0]["pricing"] == expected


def test_a_models_endpoints_are_the_cheapest_first(gateway: str, simulate: Simulate) -> None:
    url = simulate().base_url
    endpoint(url, provider="sim-dear", per_million={"prompt": "5", "completion": "5"})
    endpoint(url, provider="sim-cheap")
    rows = get(gateway, "models/acme/small/endpoints").json()["data"]["endpoints"]
    assert [row["tag"] for row in rows] == ["sim-cheap", "sim-dear"]
    assert rows[0]["is_simulated"]
    assert {row["slug"] for row in get(gateway, "providers").json()["data"]} == {"sim-dear", "sim-cheap"}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 2),
        ("?q=larg", 1),
        ("?supported_parameters=tools", 1),
        ("?supported_parameters=tools,top_k", 0),
        ("?output_modalities=image", 0),
        ("?output_modalities=all", 2),
        ("?limit=1", 1),
        ("?offset=2", 0),
        ("?offset=1&limit=5", 1),
        ("?providers=sim-two,Sim-One", 2),
        ("?providers=sim-two", 1),
        ("?max_price=0.15", 2),
        ("?max_price=0.1", 0),
        ("?min_output_price=0.6&max_output_price=0.6", 2),
        ("?model_authors=acme", 2),
        ("?arch=gpt", 0),
        ("?zdr=true", 0),
        ("?region=eu", 0),
        ("?category=legal", 0),
        ("?max_age_days=1", 2),
        ("?min_coding_index=1", 0),
        ("?sort=most-popular", 2),
        ("?sort=pricing-low-to-high", 2),
    ],
)
def test_filters(gateway: str, simulate: Simulate, query: str, count: int) -> None:
    url = simulate().base_url
    endpoint(url)
    endpoint(url, model_slug="acme/large", provider="sim-two", parameters=["tools"])
    assert len(get(gateway, f"models{query}").json()["data"]) == count


def test_pages_lead_to_the_next(gateway: str, simulate: Simulate) -> None:
    url = simulate().base_url
    for name in ("one", "two", "three"):
        endpoint(url, model_slug=f"acme/{name}")
    seen, path = [], "/api/v1/models?limit=2&q=acme"
    while path:
        body = httpx.get(f"{gateway}{path}", timeout=30).json()
        assert body["total_count"] == 3
        seen += [row["id"] for row in body["data"]]
        path = body["links"]["next"]
    assert sorted(seen) == ["acme/one", "acme/three", "acme/two"]


@pytest.mark.parametrize(
    "query",
    [
        "sort=colour",
        "limit=many",
        "limit=0",
        "limit=1001",
        "offset=-1",
        "max_price=cheap",
        "max_price=-1",
        "min_age_days=nan",
        "category=cooking",
        "region=mars",
        "zdr=perhaps",
        "min_tool_success_rate=0.9",
    ],
)
def test_a_bad_filter_is_named(gateway: str, money: None, query: str) -> None:
    response = get(gateway, f"models?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["metadata"]["field"] == query.partition("=")[0]


def test_unknown_models_are_404(gateway: str, money: None) -> None:
    assert get(gateway, "model/acme/none").json()["error"]["code"] == 404
    assert get(gateway, "models/acme/none/endpoints").status_code == 404


def test_a_private_model_is_its_owners_alone(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url, model_slug="alice/secret")
    Publisher.objects.filter(slug="alice").update(account=alice.account)
    Model.objects.filter(slug="secret").update(visibility="private")
    bob = buyer(email="bob@example.com")
    assert [len(get(gateway, "models", who).json()["data"]) for who in (None, bob, alice)] == [0, 0, 1]
    assert [get(gateway, "model/alice/secret", who).status_code for who in (None, bob, alice)] == [404, 404, 200]
    wanted = HELLO | {"model": "alice/secret"}
    assert [post(gateway, who, wanted).status_code for who in (bob, alice)] == [400, 200]


def test_a_generation_is_its_accounts_alone(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    endpoint(sim.base_url, provider="sim-bad", per_million={"prompt": "0.01"})
    endpoint(sim.base_url, provider="sim-good")
    sim.order("429:1")
    said = post(gateway, alice, HELLO).json()
    data = get(gateway, f"generation?id={said['id']}", alice).json()["data"]
    assert data["total_cost"] == said["usage"]["cost"] > 0
    assert (data["model"], data["provider_name"], data["finish_reason"]) == ("acme/small", "Sim-Good", "stop")
    assert [one["status"] for one in data["provider_responses"]] == [429, 200]
    assert get(gateway, f"generation?id={said['id']}", buyer(email="bob@example.com")).status_code == 404
    assert get(gateway, f"generation?id={said['id']}").status_code == 401
    for wrong in ("gen-1-x", "x" * 200, "gen-1-" + "z" * 22):
        assert get(gateway, f"generation?id={wrong}", alice).status_code == 404
    assert get(gateway, "generation", alice).status_code == 400


def test_key_and_credits_add_up(gateway: str, simulate: Simulate, money: None) -> None:
    endpoint(simulate().base_url, per_million={"prompt": "0", "completion": "1000"})
    who = buyer(dollars="1.00", limit_nano=500_000_000, limit_reset="daily")
    assert post(gateway, who, HELLO).status_code == 200
    key = get(gateway, "key", who).json()["data"]
    assert (key["usage"], key["usage_daily"], key["limit"], key["limit_remaining"]) == (0.012, 0.012, 0.5, 0.488)
    assert key["limit_reset"] == "daily"
    assert who.key not in key["label"]
    assert get(gateway, "credits", who).json() == {"data": {"total_credits": 1.0, "total_usage": 0.012}}
    assert get(gateway, "key").status_code == 401


def test_a_model_without_endpoints_is_not_listed(gateway: str, money: None) -> None:
    model("acme/idle")
    assert get(gateway, "models").json()["data"] == []


def test_answers_have_the_references_form(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    url = simulate().base_url
    endpoint(
        url,
        parameters=["tools", "temperature"],
        per_million={"prompt": "0.15", "completion": "0.6", "cached_read": "0.01"},
        policy={"zdr": True, "privacy_policy_url": "https://a.example/privacy", "headquarters": "DE"},
    )
    facts = {"instruct_type": "chatml", "knowledge_cutoff": "2026-01-01", "default_parameters": {"temperature": 0.7}}
    Model.objects.filter(slug="small").update(facts=facts)
    for path, template in {
        "models": "/models",
        "models/user": "/models/user",
        "models/count": "/models/count",
        "model/acme/small": "/model/{author}/{slug}",
        "models/acme/small/endpoints": "/models/{author}/{slug}/endpoints",
        "providers": "/providers",
        "endpoints/zdr": "/endpoints/zdr",
    }.items():
        reference.check(template, get(gateway, path, alice).json())
    reference.check("/models", get(gateway, "models?sort=colour").json(), status="400")
    reference.check("/model/{author}/{slug}", get(gateway, "model/acme/none").json(), status="404")


def test_models_of_embeddings_are_listed_by_themselves(gateway: str, simulate: Simulate) -> None:
    url = simulate().base_url
    endpoint(url)
    endpoint(url, model_slug="acme/vectors", output_modalities=["embeddings"])
    Model.objects.filter(slug="vectors").update(output_modalities=["embeddings"])
    body = get(gateway, "embeddings/models").json()
    assert [row["id"] for row in body["data"]] == ["acme/vectors"]
    reference.check("/embeddings/models", body)


def test_zdr_lists_the_endpoints_that_keep_nothing(gateway: str, simulate: Simulate) -> None:
    url = simulate().base_url
    endpoint(url, provider="keeps", policy={"retains": True})
    endpoint(url, provider="forgets", policy={"zdr": True})
    assert [row["tag"] for row in get(gateway, "endpoints/zdr").json()["data"]] == ["forgets"]


def test_a_variant_is_the_same_model(gateway: str, simulate: Simulate) -> None:
    endpoint(simulate().base_url)
    assert get(gateway, "model/acme/small:nitro").json()["data"]["id"] == "acme/small"
    assert get(gateway, "model/acme/small:colour").status_code == 404


def test_the_list_of_a_user_needs_a_key(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    assert get(gateway, "models/user").status_code == 401
    assert get(gateway, "models/user?limit=5", alice).json()["total_count"] == 1


def test_the_list_of_a_user_is_what_the_guardrails_of_the_key_let_it_use(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    url = simulate().base_url
    for slug in ("acme/good", "acme/bad"):
        endpoint(url, model_slug=slug, provider="keeps")
    endpoint(url, model_slug="acme/good", provider="forgets", policy={"zdr": True, "retains": False})
    row = guardrails.create(account=alice.account, values={"name": "Rules", "ignored_models": ["acme/bad"]})
    guardrails.assign_keys(row=row, keys=list(alice.account.keys.all()))

    def mine() -> list[str]:
        return [one["id"] for one in get(gateway, "models/user", alice).json()["data"]]

    assert mine() == ["acme/good"]
    assert get(gateway, "models", alice).json()["total_count"] == 2
    guardrails.change(row=row, values={"enforce_zdr": True, "deny_data_collection": True, "ignored_models": []})
    assert mine() == ["acme/good"]
    guardrails.change(row=row, values={"ignored_providers": ["forgets"]})
    assert mine() == []


def test_what_is_known_is_not_sent_again(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    first = get(gateway, "models")
    assert first.headers["cache-control"] == "public, max-age=60"
    again = httpx.get(f"{gateway}/api/v1/models", headers={"if-none-match": first.headers["etag"]}, timeout=30)
    assert (again.status_code, again.content) == (304, b"")
    endpoint(simulate().base_url, model_slug="acme/large")
    changed = httpx.get(f"{gateway}/api/v1/models", headers={"if-none-match": first.headers["etag"]}, timeout=30)
    assert changed.status_code == 200
    assert get(gateway, "models", alice).headers["cache-control"] == "private, no-cache"


def test_the_list_is_also_a_feed(gateway: str, simulate: Simulate) -> None:
    endpoint(simulate().base_url)
    response = get(gateway, "models?use_rss=true")
    assert response.headers["content-type"] == "application/rss+xml; charset=utf-8"
    item = Xml.fromstring(response.text).find("channel/item")  # noqa: S314
    assert item is not None
    assert item.findtext("link") == f"{gateway}/acme/small"
    chatting = get(gateway, "models?use_rss=true&use_rss_chat_links=true").text
    chat = Xml.fromstring(chatting)  # noqa: S314
    assert chat.findtext("channel/item/link") == f"{gateway}/chat?model=acme%2Fsmall"
