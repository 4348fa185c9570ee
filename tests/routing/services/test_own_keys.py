"""Requests with an account's own provider key: which key goes out, in what order, and what is charged."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from billing.models import Charge, LedgerAccount
from billing.services import balances, holds, usage
from marketplace.models import Provider
from marketplace.services import guardrails, provider_keys
from routing import upstream
from routing.models import Generation
from routing.services import sweeping
from routing.services.health import HEALTH
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]


def ask(gateway: str, who: Buyer, path: str = "chat/completions", **more: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20} | more
    headers = {"authorization": f"Bearer {who.key}"}
    answer = httpx.post(f"{gateway}/api/v1/{path}", json=body, headers=headers, timeout=30)
    found: dict[str, Any] = answer.json()
    return answer.status_code, found


def told(gateway: str, who: Buyer, path: str) -> dict[str, Any]:
    answer = httpx.get(f"{gateway}/api/v1/{path}", headers={"authorization": f"Bearer {who.key}"}, timeout=30)
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that requests go out with, in order."""
    keys: list[str] = []
    real = upstream.Sender._open

    async def spying(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        keys.append(dict(request.headers)["authorization"].removeprefix("Bearer "))
        return await real(self, request, *args, **kwargs)

    monkeypatch.setattr(upstream.Sender, "_open", spying)
    return keys


def keep(who: Buyer, provider: str = "sim-one", key: str = "own-key", **values: Any) -> Any:
    return provider_keys.keep(account=who.account, provider=provider, key=key, values=values)


def test_it_goes_out_with_the_own_key_and_costs_the_fee(
    gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]
) -> None:
    provider = simulate()
    served = endpoint(provider.base_url)
    keep(alice)
    status, answer = ask(gateway, alice)
    assert status == 200
    assert sent == ["own-key"]
    charge = Charge.objects.get()
    upstream = charge.labels["upstream_nano"]
    assert charge.amount_nano == pytest.approx(upstream * settings.BYOK_FEE_BPS / 10_000, abs=1)
    assert answer["usage"]["is_byok"] is True
    assert answer["usage"]["cost_details"]["upstream_inference_cost"] == pytest.approx(upstream * 1e-9)
    # The fee is ours alone: the provider bills the account itself.
    operator = served.provider.account_id
    assert balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=operator) == 0
    assert balances.of(kind=LedgerAccount.Kind.PLATFORM_REVENUE) == charge.amount_nano
    record = told(gateway, alice, f"generation?id={answer['id']}")
    assert record["is_byok"] is True
    browser = Client()
    browser.force_login(alice.account.members.get().user)
    for page in (f"/generations/{answer['id']}", "/usage"):
        assert "own key" in browser.get(page).content.decode()
    assert record["upstream_inference_cost"] == pytest.approx(upstream * 1e-9)
    assert [one["is_byok"] for one in record["provider_responses"]] == [True]
    assert [one["endpoint_id"] for one in record["provider_responses"]] == [str(served.pk)]
    assert told(gateway, alice, "key")["byok_usage_daily"] == pytest.approx(upstream * 1e-9)
    assert usage.byok_of_keys(account_id=alice.account.pk, key_ids=[alice.key_id])[alice.key_id].total == upstream


def test_own_keys_first_then_shared_then_those_for_after(
    gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]
) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    keep(alice, key="after", is_fallback=True)
    keep(alice, key="first")
    keep(alice, key="second")
    provider.order("429", "429", "429")
    status, answer = ask(gateway, alice)
    assert status == 200
    assert sent == ["first", "second", "simulated", "after"]
    record = told(gateway, alice, f"generation?id={answer['id']}")
    assert [one["is_byok"] for one in record["provider_responses"]] == [True, True, False, True]


def test_a_key_that_was_refused_waits_behind_all_else_until_it_may_be_tried_again(
    gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]
) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    keep(alice)
    provider.order("401")
    assert [ask(gateway, alice)[0] for _ in range(2)] == [200, 200]
    assert sent == ["own-key", "simulated", "simulated"]
    provider.order("500", "500")
    assert ask(gateway, alice)[0] == 502
    assert sent[3:] == ["simulated", "own-key"]
    HEALTH.router.forget()
    ask(gateway, alice)
    assert sent[5:] == ["own-key"]


def test_without_fallbacks_the_one_endpoint_is_that_of_the_own_key(
    gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]
) -> None:
    provider = simulate()
    endpoint(provider.base_url, provider="sim-cheap", per_million={"prompt": "0.1", "completion": "0.1"})
    endpoint(provider.base_url, provider="sim-dear", per_million={"prompt": "90", "completion": "90"})
    keep(alice, "sim-dear")
    keep(alice, "sim-dear", key="another")
    alone: dict[str, Any] = {"provider": {"allow_fallbacks": False}}
    status, answer = ask(gateway, alice, **alone)
    assert (status, answer["provider"], sent) == (200, "Sim-Dear", ["own-key"])
    provider.order("503")
    assert ask(gateway, alice, **alone)[0] == 502
    assert sent[1:] == ["own-key"]  # neither the other key nor what all share


def test_without_fallbacks_a_key_kept_for_after_is_not_asked(
    gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]
) -> None:
    provider = simulate()
    for name, models in (("sim-one", "acme/small"), ("sim-two", "acme/big")):
        endpoint(provider.base_url, provider=name, model_slug=models)
    keep(alice, is_fallback=True)
    provider.order("503", "503")
    status, _ = ask(gateway, alice, models=["acme/small", "acme/big"], provider={"allow_fallbacks": False})
    assert status == 502
    assert sent == ["simulated", "simulated"]  # the first of each model


def test_shared_capacity_is_charged_as_ever_when_the_own_key_fails(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    provider = simulate()
    served = endpoint(provider.base_url)
    keep(alice)
    provider.order("401")
    status, answer = ask(gateway, alice)
    assert (status, answer["usage"]["is_byok"]) == (200, False)
    assert balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=served.provider.account_id) > 0


def test_it_serves_only_what_and_whom_it_says(gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]) -> None:
    provider = simulate()
    endpoint(provider.base_url)
    row = keep(alice, allowed_models=["other/*"])
    ask(gateway, alice)
    provider_keys.change(row=row, values={"allowed_models": ["acme/*"]})
    ask(gateway, alice)
    provider_keys.change(row=row, values={"allowed_api_key_hashes": ["0" * 64]})
    ask(gateway, alice)
    provider_keys.change(row=row, values={"allowed_api_key_hashes": None, "disabled": True})
    ask(gateway, alice)
    assert sent == ["simulated", "own-key", "simulated", "simulated"]


def test_a_key_whose_provider_moved_is_left_out(
    gateway: str, simulate: Simulate, alice: Buyer, sent: list[str]
) -> None:
    provider, elsewhere = simulate("one"), simulate("two")
    endpoint(provider.base_url)
    keep(alice)
    moved = Provider.objects.get(slug="sim-one")
    moved.base_url = elsewhere.base_url
    moved.seal({"api_key": "simulated"})
    moved.save()
    assert ask(gateway, alice)[0] == 200
    assert sent == ["simulated"]
    assert elsewhere.calls == 1


def test_guardrails_come_before_it(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    endpoint(simulate().base_url)
    keep(alice)
    row = guardrails.create(account=alice.account, values={"name": "Rules", "ignored_providers": ["sim-one"]})
    guardrails.assign_keys(row=row, keys=list(alice.account.keys.all()))
    assert ask(gateway, alice)[0] == 403


@pytest.mark.parametrize("path", ["messages", "responses"])
def test_other_dialects_tell_it_too(gateway: str, simulate: Simulate, alice: Buyer, path: str) -> None:
    endpoint(simulate().base_url)
    keep(alice)
    more = {"input": "hello"} if path == "responses" else {}
    status, answer = ask(gateway, alice, path, **more)
    assert (status, answer["usage"]["is_byok"]) == (200, True)
    assert json.dumps(answer["usage"]["cost_details"]["upstream_inference_cost"]) != "null"


def test_a_process_that_died_is_settled_by_the_fee(simulate: Simulate, alice: Buyer) -> None:
    served = endpoint(simulate().base_url)
    hold = holds.place(
        account_id=alice.account.pk, key_id=alice.key_id, amount_nano=10_000, kind="chat", reference="swept",
        expires_in=dt.timedelta(hours=1),
    )  # fmt: skip
    long_ago = timezone.now() - dt.timedelta(minutes=5)
    Generation.objects.create(
        account=alice.account, key_id=alice.key_id, hold_id=hold.pk, requested_model="acme/small", model="acme/small",
        provider=served.provider, endpoint=served, streamed=True, status="streaming", delivered_bytes=400,
        input_tokens=100, prices={"prompt": 5_000_000, "completion": 5_000_000}, is_byok=True,
        list_prices={"prompt": 100_000_000, "completion": 100_000_000}, heartbeat_at=long_ago,
    )  # fmt: skip
    assert sweeping.sweep() == 1
    row = Generation.objects.get()
    assert (row.cost_nano, row.upstream_nano) == (1_000, 20_000)
    assert balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=served.provider.account_id) == 0


def test_without_own_keys_an_order_over_several_models_stays_as_it_is(
    gateway: str, simulate: Simulate, alice: Buyer
) -> None:
    sim = simulate()
    for provider, slug in (("sim-one", "acme/small"), ("sim-two", "acme/big"), ("sim-three", "acme/small")):
        endpoint(sim.base_url, provider=provider, model_slug=slug)
    body = {
        "models": ["acme/small", "acme/big"], "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20,
        "provider": {"order": ["sim-one", "sim-two", "sim-three"], "sort": {"by": "price", "partition": "none"}},
    }  # fmt: skip
    headers = {"authorization": f"Bearer {alice.key}", "x-openrouter-metadata": "enabled"}
    answer = httpx.post(f"{gateway}/api/v1/chat/completions", json=body, headers=headers, timeout=30).json()
    available = [one["provider"] for one in answer["openrouter_metadata"]["endpoints"]["available"]]
    assert available == ["Sim-One", "Sim-Two", "Sim-Three"]
