"""The order of attempts, and the reason for each endpoint that is left out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.canonical import ProviderPreferences, UpstreamError, Usage
from routing.selection.candidates import Candidate, Need, cache_discount, quantities
from routing.selection.history import History, Slot, bucket_of
from routing.selection.plan import Plan, again, plan
from routing.selection.router import Router

BASE = Candidate(
    endpoint_id=1,
    model="acme/small",
    provider="cheap",
    provider_name="Cheap",
    context_length=8_000,
    max_output=2_000,
    inputs=frozenset({"text"}),
    outputs=frozenset({"text"}),
    parameters=frozenset({"temperature", "max_tokens"}),
    quantization="fp8",
    prices={"prompt": 100_000_000, "completion": 400_000_000},
)
CHEAP = BASE
MIDDLE = replace(BASE, endpoint_id=2, provider="middle", prices={"prompt": 200_000_000, "completion": 400_000_000})
DEAR = replace(
    BASE,
    endpoint_id=3,
    provider="dear",
    prices={"prompt": 900_000_000, "completion": 900_000_000},
    inputs=frozenset({"text", "image"}),
    parameters=frozenset({"temperature", "tools", "max_tokens"}),
    context_length=100_000,
    max_output=None,
    collects_data=False,
    keeps_nothing=True,
    quantization="bf16",
)
ALL = (DEAR, MIDDLE, CHEAP)
NOW = 1_000.0
NEED = Need(input_bound=400, input_estimate=100, max_tokens=100)


def planned(
    groups: tuple[tuple[Candidate, ...], ...] = (ALL,), need: Need = NEED, router: Router | None = None, **wishes: Any
) -> Plan:
    return plan(
        groups=groups,
        need=need,
        preferences=ProviderPreferences(**wishes),
        router=router or Router(),
        now=NOW,
        seed="1",
    )


def ill(*endpoint_ids: int, router: Router | None = None) -> Router:
    """A router that saw these endpoints fail until their breakers opened."""
    router = router or Router()
    for endpoint_id in endpoint_ids:
        for _ in range(3):
            ticket = router.begin(endpoint_id, tokens=100, now=NOW - 0.2)
            down = UpstreamError("x", kind="unavailable", retryable=True)
            router.failed(ticket, down, now=NOW - 0.1, chance=0.5)
    return router


def answered(router: Router, endpoint_id: int, *, latency: float, tokens_per_s: float) -> None:
    """One good answer of 90 tokens."""
    ticket = router.begin(endpoint_id, tokens=0, now=NOW - 60)
    router.first(ticket, now=NOW - 60 + latency)
    router.ended(ticket, now=NOW - 60 + latency + 90 / tokens_per_s, model="acme/small", output_tokens=90)


def order(found: Plan) -> list[str]:
    return [attempt.candidate.provider for attempt in found.attempts]


def test_the_cheapest_for_this_request_goes_first() -> None:
    assert order(planned()) == ["cheap", "middle", "dear"]
    long_answers = replace(CHEAP, endpoint_id=4, provider="chatty", prices={"prompt": 0, "completion": 800_000_000})
    assert order(planned(((CHEAP, long_answers),))) == ["cheap", "chatty"]
    reading = replace(NEED, input_estimate=5_000)
    assert order(planned(((CHEAP, long_answers),), reading)) == ["chatty", "cheap"]


def test_an_ill_endpoint_goes_last_and_stays() -> None:
    assert order(planned(router=ill(1))) == ["middle", "dear", "cheap"]
    assert order(planned(router=ill(1, 2, 3))) == ["cheap", "middle", "dear"]


def test_after_a_failure_the_choice_is_made_again_among_what_is_left() -> None:
    router = Router()
    found = planned(router=router)
    ill(1, 2, router=router)
    assert again(left=found.attempts[1:], router=router, now=NOW, seed="2").candidate.provider == "dear"


def test_after_a_failure_the_same_model_comes_first() -> None:
    other = replace(CHEAP, endpoint_id=9, model="acme/free", provider="free", prices={})
    router = ill(1, 2)
    found = planned(((CHEAP, MIDDLE), (other,)), router=router)
    assert again(left=found.attempts[1:], router=router, now=NOW, seed="2").candidate.model == "acme/small"


def test_sorting_without_partition_ranks_the_endpoints_of_all_models() -> None:
    other = replace(CHEAP, endpoint_id=9, model="acme/free", provider="free", prices={})
    assert order(planned(((DEAR, MIDDLE), (other,)), sort="price", partition="none")) == ["free", "middle", "dear"]


def test_fallback_models_come_after_the_model() -> None:
    other = replace(CHEAP, endpoint_id=9, model="acme/free", provider="free", prices={})
    assert order(planned(((DEAR, MIDDLE), (other,)))) == ["middle", "dear", "free"]


WISHES: list[tuple[dict[str, Any], list[str]]] = [
    ({"order": ("dear", "middle")}, ["dear", "middle", "cheap"]),
    ({"order": ("dear",), "allow_fallbacks": False}, ["dear"]),
    ({"allow_fallbacks": False}, ["cheap"]),
    ({"only": ("middle", "dear")}, ["middle", "dear"]),
    ({"only": ("MIDDLE",)}, ["middle"]),
    ({"ignore": ("cheap",)}, ["middle", "dear"]),
    ({"data_collection": "deny"}, ["dear"]),
    ({"zdr": True}, ["dear"]),
    ({"quantizations": ("fp8",)}, ["cheap", "middle"]),
    ({"max_price": {"prompt": 200_000_000}}, ["cheap", "middle"]),
    ({"max_price": {"prompt": 1}}, []),
]


@pytest.mark.parametrize(("wishes", "providers"), WISHES)
def test_the_callers_wishes_hold(wishes: dict[str, Any], providers: list[str]) -> None:
    assert order(planned(**wishes)) == providers


def test_sort_by_speed_uses_what_was_measured_and_puts_the_unknown_last() -> None:
    router = Router()
    answered(router, 3, latency=0.2, tokens_per_s=90)
    answered(router, 2, latency=0.4, tokens_per_s=120)
    assert order(planned(router=router, sort="latency")) == ["dear", "middle", "cheap"]
    assert order(planned(router=router, sort="throughput")) == ["middle", "dear", "cheap"]


def test_variants_of_the_models_names_are_wishes_for_that_model() -> None:
    router = Router()
    answered(router, 3, latency=0.2, tokens_per_s=190)
    answered(router, 2, latency=0.4, tokens_per_s=120)
    answered(router, 1, latency=0.4, tokens_per_s=20)
    asked = ProviderPreferences()
    found = plan(groups=[ALL], need=NEED, preferences=asked, router=router, now=NOW, seed="1", variants=[("nitro",)])
    assert order(found) == ["dear", "middle", "cheap"]
    found = plan(groups=[ALL], need=NEED, preferences=asked, router=router, now=NOW, seed="1", variants=[("free",)])
    assert order(found) == []


def test_what_breaks_a_soft_threshold_goes_last() -> None:
    slow = History()
    slow.record(Slot(latency={bucket_of(4_000): 9}, throughput={bucket_of(5): 9}), now=NOW)
    wishes: list[dict[str, Any]] = [{"most_latency": {90: 2.0}}, {"least_throughput": {50: 20.0}}]
    for wish in wishes:
        found = plan(
            groups=[ALL], need=NEED, preferences=ProviderPreferences(**wish), router=Router(), now=NOW, seed="1",
            histories={1: slow}, wall=NOW,
        )  # fmt: skip
        assert order(found) == ["middle", "dear", "cheap"]
        # After a failure too, whichever is the cheapest of what is left.
        left = [one for one in found.attempts if one.candidate.provider != "middle"]
        assert again(left=left, router=Router(), now=NOW, seed="2").candidate.provider == "dear"
        assert again(left=left[1:], router=Router(), now=NOW, seed="2").candidate.provider == "cheap"


EXCLUDED: list[tuple[Need, dict[str, Any], str, str]] = [
    (replace(NEED, inputs=frozenset({"text", "image"})), {}, "input_modalities", "takes no image"),
    (replace(NEED, outputs=frozenset({"audio"})), {}, "output_modalities", "gives no audio"),
    (replace(NEED, input_estimate=9_000), {}, "context_length", "about 9000 tokens"),
    (replace(NEED, max_tokens=3_000), {}, "context_length", "at most 2000"),
    (
        replace(NEED, parameters=frozenset({"tools"})),
        {"require_parameters": True},
        "require_parameters",
        "does not support tools",
    ),
    (NEED, {"ignore": ("cheap",)}, "allowed_providers", "provider.ignore"),
    (NEED, {"max_price": {"completion": 1}}, "max_price", "completion price"),
    (NEED, {"quantizations": ("bf16",)}, "quantization", "fp8"),
]


@pytest.mark.parametrize(("need", "wishes", "reason", "detail"), EXCLUDED)
def test_each_exclusion_tells_its_reason(need: Need, wishes: dict[str, Any], reason: str, detail: str) -> None:
    (excluded,) = planned(((CHEAP,),), need, **wishes).excluded
    assert excluded.reason == reason
    assert detail in excluded.detail


def test_tools_go_to_those_that_have_them_and_else_to_all() -> None:
    need = replace(NEED, parameters=frozenset({"tools"}))
    assert order(planned(need=need)) == ["dear"]
    assert order(planned(((CHEAP, MIDDLE),), need)) == ["cheap", "middle"]


def test_parts_with_a_price_of_their_own_are_taken_out_of_the_whole() -> None:
    usage = Usage(prompt_tokens=100, completion_tokens=50, cached_tokens=40, reasoning_tokens=20)
    assert quantities(usage, {"prompt": 1, "completion": 1}) == {"prompt": 100, "completion": 50}
    priced = {"prompt": 1, "completion": 1, "cached_read": 0, "reasoning": 2, "request": 5}
    assert quantities(usage, priced) == {
        "prompt": 60,
        "cached_read": 40,
        "completion": 30,
        "reasoning": 20,
        "request": 1,
    }


@pytest.mark.parametrize(
    ("usage", "saved"),
    [
        (Usage(1_000, 50, cached_tokens=0), None),
        (Usage(1_000, 50, cached_tokens=600), 600 * (3_000 - 300)),
        (Usage(1_000, 50, cache_write_tokens=600), 600 * (3_000 - 3_750)),
        (Usage(1_000, 50, cached_tokens=400, cache_write_tokens=600), 400 * 2_700 - 600 * 750),
        # Above 200,000 tokens all is dearer, the cache as well.
        (Usage(300_000, 50, cached_tokens=100_000), 100_000 * (6_000 - 600)),
    ],
)
def test_what_caching_saves_is_negative_where_writing_costs_more(usage: Usage, saved: int | None) -> None:
    prices = {
        "prompt": 3 * 10**9, "prompt>200000": 6 * 10**9, "cached_read": 3 * 10**8, "cached_read>200000": 6 * 10**8,
        "cached_write": 375 * 10**7, "completion": 15 * 10**9,
    }  # fmt: skip
    assert cache_discount(prices, usage) == saved


def test_a_cache_without_prices_of_its_own_saves_nothing() -> None:
    assert cache_discount({"prompt": 3 * 10**9}, Usage(1_000, 50, cached_tokens=600, cache_write_tokens=7)) == 0


PRICES = st.dictionaries(
    st.sampled_from(["prompt", "completion", "cached_read", "cached_write", "reasoning", "request"]),
    st.integers(0, 10**12),
)


@given(PRICES, st.integers(0, 8_000), st.integers(0, 2_000), st.data())
def test_what_caching_saves_is_what_it_would_have_cost_without(
    prices: dict[str, int], prompt: int, completion: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, prompt))
    usage = Usage(prompt, completion, cached, data.draw(st.integers(0, prompt - cached)))
    plain = {unit: nano for unit, nano in prices.items() if not unit.startswith("cached")}
    if "prompt" not in plain:
        plain["prompt"] = prices["prompt"] = 7
    without = replace(BASE, prices=plain).rated(usage).amount_nano
    saved = without - replace(BASE, prices=prices).rated(usage).amount_nano
    assert abs((cache_discount(prices, usage) or 0) - saved) <= 1  # two roundings


@given(PRICES, st.integers(0, 8_000), st.integers(0, 2_000), st.data())
def test_the_bound_covers_whatever_comes_within_it(
    prices: dict[str, int], prompt: int, completion: int, data: st.DataObject
) -> None:
    candidate = replace(BASE, prices=prices)
    cached = data.draw(st.integers(0, prompt))
    usage = Usage(
        prompt, completion, cached, data.draw(st.integers(0, prompt - cached)), data.draw(st.integers(0, completion))
    )
    assert candidate.rated(usage).amount_nano <= candidate.bound(input_tokens=8_000, max_tokens=completion)


@given(PRICES, st.integers(0, 10**10), st.integers(0, 8_000))
def test_what_is_affordable_is_within_the_amount(prices: dict[str, int], amount: int, tokens: int) -> None:
    candidate = replace(BASE, prices=prices)
    cap = candidate.tokens_for(amount, input_tokens=tokens)
    assert cap == 0 or candidate.bound(input_tokens=tokens, max_tokens=cap) <= amount
