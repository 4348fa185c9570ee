"""The router's choice: what holds whatever was seen, and what decides when one thing alone differs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.canonical import ProviderPreferences, UpstreamError, UpstreamKind, Usage
from routing.selection.candidates import Candidate, Need
from routing.selection.choice import draw_of, explain, parts_of, replay
from routing.selection.cost import PRESETS, Demand, price_of, terms, total
from routing.selection.filters import matches
from routing.selection.plan import plan
from routing.selection.prefixes import Prefixes
from routing.selection.router import Router

MODEL = "acme/small"
BASE = Candidate(
    endpoint_id=1,
    model=MODEL,
    provider="one",
    provider_name="One",
    context_length=8_000,
    max_output=2_000,
    inputs=frozenset({"text"}),
    outputs=frozenset({"text"}),
    parameters=frozenset({"temperature", "tools"}),
    quantization="fp8",
    prices={"prompt": 300_000_000, "completion": 600_000_000},
)
SILENT = UpstreamError("x", kind="timeout", retryable=True)
DOWN = UpstreamError("x", kind="unavailable", retryable=True, status=503)


def named(endpoint_id: int, provider: str, *, prompt: int = 300, completion: int = 600, **fields: object) -> Candidate:
    """An endpoint at these prices, in thousandths of a dollar per million tokens."""
    prices = {"prompt": prompt * 1_000_000, "completion": completion * 1_000_000}
    return replace(BASE, endpoint_id=endpoint_id, provider=provider, provider_name=provider.title(), prices=prices)


def served(
    router: Router, candidate: Candidate, *, latency: float = 0.5, pace: float = 60.0, times: int = 30, at: float = 0.0
) -> None:
    """Good answers of 100 tokens, one a second."""
    for i in range(times):
        began = at + i
        ticket = router.begin(candidate.endpoint_id, tokens=1_000, now=began)
        router.first(ticket, now=began + latency)
        router.ended(ticket, now=began + latency + 100 / pace, model=MODEL, output_tokens=100)


def chosen(router: Router, candidates: list[Candidate], *, now: float = 31.0, **wishes: object) -> str:
    demand = Demand(tokens=1_000, output=100.0, **wishes)  # type: ignore[arg-type]
    return router.choose(candidates, demand, now=now, draw=0.999).candidate.provider


# --- each criterion alone ---


def by_time(endpoint_id: int, provider: str, *, per_second: int) -> Candidate:
    """An endpoint that is charged by its time, in nano-dollars a second."""
    prices = {"hardware_ms": per_second * 1_000}
    return replace(BASE, endpoint_id=endpoint_id, provider=provider, provider_name=provider, prices=prices)


def test_what_is_charged_by_time_is_compared_by_how_long_it_usually_runs() -> None:
    router = Router()
    tokens = named(1, "tokens", prompt=0, completion=10_000)  # 100 tokens: $0.001
    timed = [by_time(2, "quick", per_second=500_000), by_time(3, "slow", per_second=500_000)]
    served(router, tokens)
    served(router, timed[0], latency=0.5, pace=100.0)
    served(router, timed[1], latency=0.5, pace=20.0)
    demand = Demand(tokens=1_000, output=100.0, weights=PRESETS["price"])
    choice = router.choose([tokens, *timed], demand, now=31.0, draw=0.999)
    price = {one.provider: parts_of(one, router.standings[one.endpoint_id].line, demand).price for one in timed}
    assert price["quick"] == pytest.approx(1.5 * 500_000, rel=0.05)  # half a second, and a hundred tokens
    assert price["slow"] == pytest.approx(5.5 * 500_000, rel=0.05)
    assert [choice.candidates[i].provider for i in choice.ranked()] == ["quick", "tokens", "slow"]


def test_what_waits_for_a_start_is_not_reckoned_as_running() -> None:
    router = Router()
    timed = by_time(1, "timed", per_second=500_000)
    served(router, timed)
    demand = Demand(tokens=1_000, output=100.0)
    before = parts_of(timed, router.standings[1].line, demand)
    router.know(1, slots=0, taken=0, cold_seconds=30.0, now=31.0)
    cold = parts_of(timed, router.standings[1].line, demand)
    assert cold.ttft > before.ttft + 29
    assert cold.price == pytest.approx(before.price, rel=0.05)


ONE, TWO = named(1, "one"), named(2, "two")


def differing(first: Callable[[Router], None]) -> Router:
    """A router that saw both endpoints do equally well, and then what `first` makes of endpoint one."""
    router = Router()
    served(router, TWO)
    served(router, ONE)
    first(router)
    return router


def test_price_alone_decides() -> None:
    router = differing(lambda _: None)
    assert chosen(router, [named(1, "one", prompt=310), TWO]) == "two"
    assert chosen(router, [ONE, named(2, "two", completion=640)]) == "one"


def test_latency_alone_decides() -> None:
    router = Router()
    served(router, ONE, latency=0.7)
    served(router, TWO, latency=0.5)
    assert chosen(router, [ONE, TWO]) == "two"


def test_throughput_alone_decides() -> None:
    router = Router()
    served(router, ONE, pace=30)
    served(router, TWO, pace=90)
    assert chosen(router, [ONE, TWO]) == "two"


def test_availability_alone_decides() -> None:
    def fail_now_and_then(router: Router) -> None:
        ticket = router.begin(1, tokens=1_000, now=30.0)
        router.failed(ticket, DOWN, now=30.3, chance=0.5)

    assert chosen(differing(fail_now_and_then), [ONE, TWO]) == "two"


def test_capacity_alone_decides() -> None:
    def fill(router: Router) -> None:
        for _ in range(200):
            router.begin(1, tokens=1_000, now=30.9)

    assert chosen(differing(fill), [ONE, TWO], now=30.95) == "two"


def test_our_own_workers_are_judged_by_free_slots_queue_and_cold_start() -> None:
    router = differing(lambda _: None)
    router.standing(1).capacity.know(slots=4, queued=0, cold_seconds=0.0)
    router.standing(1).refresh(31.0)
    assert chosen(router, [ONE, TWO]) == "one"
    router.standing(1).capacity.know(slots=4, queued=9, cold_seconds=0.0)
    router.standing(1).refresh(31.0)
    assert chosen(router, [ONE, TWO]) == "two"
    router.standing(1).capacity.know(slots=0, queued=0, cold_seconds=40.0)
    router.standing(1).refresh(31.0)
    assert chosen(router, [ONE, TWO]) == "two"


# --- the article's cases ---


def test_claude_with_bedrock_slow_goes_to_anthropics_endpoint() -> None:
    anthropic = named(1, "anthropic", prompt=3_000, completion=15_000)
    bedrock = named(2, "amazon-bedrock", prompt=3_000, completion=15_000)
    router = Router()
    served(router, anthropic, latency=0.9, times=60)
    served(router, bedrock, latency=0.8)
    assert chosen(router, [anthropic, bedrock], now=31.0) == "amazon-bedrock"
    served(router, bedrock, latency=4.0, times=10, at=40.0)
    assert chosen(router, [anthropic, bedrock], now=61.0) == "anthropic"


def test_deepseek_goes_to_the_cheapest() -> None:
    offers = [
        named(1, "deepinfra", prompt=280, completion=880),
        named(2, "novita", prompt=250, completion=800),
        named(3, "fireworks", prompt=900, completion=900),
    ]
    router = Router()
    for offer in offers:
        served(router, offer, latency=0.6)
    assert chosen(router, offers) == "novita"


# --- learning ---


def test_a_silent_endpoint_is_left_before_its_deadline_has_passed() -> None:
    router = differing(lambda _: None)
    cheap = named(1, "one", prompt=290)
    assert chosen(router, [cheap, TWO], now=31.0) == "one"
    router.begin(1, tokens=1_000, now=31.0)
    assert chosen(router, [cheap, TWO], now=31.3) == "one"
    assert chosen(router, [cheap, TWO], now=33.5) == "two"


def test_after_a_call_was_given_up_one_at_a_time_asks_whether_the_endpoint_answers() -> None:
    router = differing(lambda _: None)
    dear = named(2, "two", prompt=9_000, completion=9_000)
    given_up = router.begin(1, tokens=1_000, now=31.0)
    router.failed(given_up, SILENT, now=32.2, chance=0.5, was_cut=True)
    assert chosen(router, [ONE, dear], now=32.3) == "one"
    asking = router.begin(1, tokens=1_000, now=32.3)
    assert chosen(router, [ONE, dear], now=32.3) == "two"
    router.first(asking, now=32.8)
    assert chosen(router, [ONE, dear], now=32.8) == "one"


def test_one_straggler_among_good_answers_does_not_count_as_silence() -> None:
    router = differing(lambda _: None)
    cheap = named(1, "one", prompt=250)
    router.begin(1, tokens=1_000, now=31.0)
    served(router, cheap, times=2, at=31.1)
    assert chosen(router, [cheap, TWO], now=33.5) == "one"


@pytest.mark.parametrize(("kind", "status"), [("rate_limited", 429), ("timeout", 408)])
def test_a_full_endpoint_is_left_for_as_long_as_it_says_and_is_not_blamed(kind: UpstreamKind, status: int) -> None:
    router = differing(lambda _: None)
    cheap = named(1, "one", prompt=290)
    full = UpstreamError("x", kind=kind, retryable=True, status=status, retry_after=5.0)
    router.failed(router.begin(1, tokens=1_000, now=31.0), full, now=31.1, chance=0.5)
    assert chosen(router, [cheap, TWO], now=31.2) == "two"
    assert chosen(router, [cheap, TWO], now=36.2) == "one"
    assert not router.standing(1).breaker.is_open


def test_the_callers_own_mistakes_teach_nothing() -> None:
    router = differing(lambda _: None)
    before = router.standing(1).reliability.failure_share(31.0)
    for _ in range(10):
        bad = UpstreamError("x", kind="invalid", retryable=False, status=400)
        router.failed(router.begin(1, tokens=1_000, now=31.0), bad, now=31.1, chance=0.5)
    assert router.standing(1).reliability.failure_share(31.0) == before
    assert router.standing(1).in_flight == 0


def test_refused_credentials_shut_an_endpoint_off_at_once() -> None:
    router = differing(lambda _: None)
    refused = UpstreamError("x", kind="auth", retryable=True, status=401)
    router.failed(router.begin(1, tokens=1_000, now=31.0), refused, now=31.1, chance=0.5)
    assert chosen(router, [named(1, "one", prompt=1), TWO], now=60.0) == "two"


def test_a_breaker_lets_one_probe_through_and_a_good_answer_closes_it() -> None:
    router = differing(lambda _: None)
    cheap = named(1, "one", prompt=200)
    for _ in range(3):
        router.failed(router.begin(1, tokens=1_000, now=31.0), DOWN, now=31.1, chance=0.5)
    assert chosen(router, [cheap, TWO], now=32.0) == "two"
    choice = router.choose([cheap, TWO], Demand(1_000, 100.0), now=34.0, draw=0.9)
    assert (choice.candidate.provider, choice.why) == ("one", "probe")
    probe = router.begin(1, tokens=1_000, now=34.0)
    assert probe.is_probe
    assert chosen(router, [cheap, TWO], now=34.1) == "two"
    router.first(probe, now=34.4)
    assert not router.standing(1).breaker.is_open


def test_a_probe_that_fails_opens_the_breaker_for_longer() -> None:
    breaker = Router().standing(1).breaker
    waits = []
    now = 1_000.0
    for _ in range(8):
        breaker.failed(calls=9, failures=9, now=now, chance=0.5)
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        breaker.begin(now=now)
    assert waits == [2, 4, 4, 4, 4, 4, 8, 8]


def test_an_idle_endpoint_is_looked_at_only_where_it_could_win() -> None:
    router = differing(lambda _: None)
    served(router, TWO, at=31.0)
    hopeful = named(1, "one", prompt=310)
    found = router.choose([named(1, "one", prompt=295, completion=600), TWO], Demand(1_000, 100.0), now=61.0, draw=0.0)
    assert found.candidate.provider == "one"
    slow = Router()
    served(slow, hopeful, latency=2.0)
    served(slow, TWO, times=61)
    found = slow.choose([hopeful, TWO], Demand(1_000, 100.0), now=61.0, draw=0.0)
    assert (found.candidate.provider, found.why) == ("two", "cheapest")


def test_a_newcomer_starts_where_its_peers_are() -> None:
    router = Router()
    served(router, ONE, latency=2.0)
    router.choose([ONE, TWO], Demand(1_000, 100.0), now=31.0, draw=0.9)
    assert router.standing(2).latency.intercept == pytest.approx(router.standing(1).latency.long_run)


def test_a_conversation_stays_where_its_prompt_is_cached_until_another_costs_less() -> None:
    router = differing(lambda _: None)
    caching = named(1, "one", prompt=320)
    caching = replace(caching, prices={**caching.prices, "cached_read": 1_000_000})
    assert chosen(router, [caching, TWO]) == "two"
    talk = Prefixes((b"talk",), (0.9,))
    router.answered(talk, candidate=caching, tokens=1_000, cached_tokens=None, now=31.0)
    demand = router.demand(model=MODEL, tokens=1_000, max_tokens=100, prompt=talk, now=32.0)
    assert router.choose([caching, TWO], demand, now=32.0, draw=0.9).candidate.provider == "one"
    bargain = named(2, "two", prompt=30)
    assert router.choose([caching, bargain], demand, now=32.0, draw=0.9).candidate.provider == "two"
    later = router.demand(model=MODEL, tokens=1_000, max_tokens=100, prompt=talk, now=700.0)
    assert not later.cached


def test_a_prompt_that_its_caller_marks_costs_what_writing_it_costs_but_where_it_is_cached() -> None:
    """A quarter more than input at one endpoint, so that moving there costs more than its price says."""
    writing = named(1, "one", prompt=100)
    writing = replace(writing, prices={**writing.prices, "cached_read": 10_000_000, "cached_write": 125_000_000})
    plain, marked = (Demand(1_000, 0.0, writes=writes) for writes in (False, True))
    assert price_of(writing, plain, seconds=1.0) == 100_000
    assert price_of(writing, marked, seconds=1.0) == 125_000
    there = replace(marked, cached={1: 800})
    assert price_of(writing, there, seconds=1.0) == 800 * 10 + 200 * 125
    assert price_of(TWO, marked, seconds=1.0) == price_of(TWO, plain, seconds=1.0)


def test_the_last_attempt_keeps_the_whole_deadline() -> None:
    router = differing(lambda _: None)
    ticket = router.begin(1, tokens=1_000, now=31.0)
    assert router.patience(ticket, whole=30.0, is_last=True) == 30.0
    assert 1.0 <= router.patience(ticket, whole=30.0, is_last=False) < 10.0


def test_a_long_prompt_is_not_left_before_what_is_usual_for_it() -> None:
    """It takes as long elsewhere, and would be paid twice."""
    router = differing(lambda _: None)
    usual = router.standing(1).line.per_token * 150_000
    assert usual > 15
    ticket = router.begin(1, tokens=150_000, now=31.0)
    patience = router.patience(ticket, whole=180.0, is_last=False)
    assert 1.5 * usual <= patience < 60
    assert router.wait_on(ticket, [TWO], patience=patience, whole=180.0, now=31.0 + usual) > 0


def test_retries_are_a_share_of_the_arrivals_beyond_a_reserve() -> None:
    router = Router()
    assert sum(router.retries.take(now=1.0) for _ in range(500)) == 100
    for _ in range(52):
        router.retries.arrived(now=1.0)
    assert sum(router.retries.take(now=1.0) for _ in range(500)) == 10
    assert router.retries.take(now=2.0)


# --- whatever was seen ---

KINDS: list[UpstreamKind] = ["unavailable", "rate_limited", "timeout", "cut", "auth", "invalid", "malformed"]
EVENTS = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.sampled_from(["ok", "hang", "drop", *KINDS]),
        st.floats(0, 1e4),
        st.floats(0, 100),
        st.integers(0, 10**7),
    ),
    max_size=40,
)
PRICED = st.lists(st.integers(0, 10**12), min_size=5, max_size=5)


def lived(events: list[tuple[int, str, float, float, int]]) -> tuple[Router, float]:
    """A router after these events, and the time by then."""
    router, now = Router(), 1.0
    for endpoint_id, what, seconds, pause, tokens in events:
        now += pause
        ticket = router.begin(endpoint_id, tokens=tokens, now=now)
        if what == "ok":
            router.first(ticket, now=now + seconds)
            router.ended(ticket, now=now + 2 * seconds, model=MODEL, output_tokens=tokens)
            now += 2 * seconds
        elif what == "drop":
            router.dropped(ticket, now=now)
        elif what != "hang":
            error = UpstreamError("x", kind=what, retryable=True, retry_after=seconds)  # type: ignore[arg-type]
            router.failed(ticket, error, now=now + seconds, chance=0.3)
    return router, now


def test_the_price_that_holds_for_the_request_decides() -> None:
    router = Router()
    long = named(1, "one", prompt=100)
    long = replace(long, prices={**long.prices, "prompt>100000": 900_000_000})
    night = named(2, "two", prompt=400)
    night = replace(night, prices={**night.prices, "prompt@0000-0600": 10_000_000})
    weights = PRESETS["price"]

    def chosen(tokens: int, minute: int) -> int:
        demand = Demand(tokens, 100.0, weights=weights, minute=minute)
        choice = router.choose([long, night], demand, now=0.0, draw=0.5)
        return [long, night][choice.chosen].endpoint_id

    assert chosen(1_000, 12 * 60) == 1
    assert chosen(1_000, 3 * 60) == 2
    assert chosen(200_000, 12 * 60) == 2


def test_the_most_a_request_can_cost_counts_every_price_that_can_hold() -> None:
    one = named(1, "one", prompt=100, completion=200)
    prices = {**one.prices, "prompt>1000": 300_000_000, "completion@0000-0600": 500_000_000}
    one = replace(one, prices=prices, context_length=10**6)
    assert one.bound(input_tokens=1_000, max_tokens=10) == 1_000 * 100 + 10 * 500
    assert one.bound(input_tokens=2_000, max_tokens=10) == 2_000 * 300 + 10 * 500
    usage = Usage(prompt_tokens=1_500, completion_tokens=10)
    assert one.rated(usage, minute=720).amount_nano == 1_500 * 300 + 10 * 200
    assert one.rated(usage, minute=60).amount_nano == 1_500 * 300 + 10 * 500


def offers(prices: list[int]) -> list[Candidate]:
    return [
        replace(BASE, endpoint_id=i + 1, provider=f"p{i + 1}", prices={"prompt": price, "completion": price // 2})
        for i, price in enumerate(prices)
    ]


@settings(deadline=None)
@given(
    EVENTS, PRICED, st.floats(0, 0.999), st.sampled_from(sorted(PRESETS)), st.integers(0, 10**8),
    st.sampled_from([(), (2,), (1, 5)]), st.booleans(), st.floats(0, 60),
)  # fmt: skip
def test_costs_are_finite_nobody_is_ejected_and_equal_seeds_choose_alike(
    events: list[tuple[int, str, float, float, int]], prices: list[int], draw: float, preset: str, tokens: int,
    there: tuple[int, ...], writes: bool, waited: float,
) -> None:  # fmt: skip
    router, now = lived(events)
    demand = Demand(
        tokens,
        400.0,
        weights=PRESETS[preset],
        tools=True,
        cached={endpoint_id: tokens // (1 + endpoint_id) for endpoint_id in there},
        writes=writes,
        waited=waited,
    )
    candidates = offers(prices)
    choice = router.choose(candidates, demand, now=now, draw=draw)
    assert all(math.isfinite(score.cost) and math.isfinite(score.hopeful) for score in choice.scores)
    assert sorted(choice.ranked()) == [0, 1, 2, 3, 4]
    assert router.choose(candidates, demand, now=now, draw=draw).chosen == choice.chosen
    for candidate, line, score in zip(choice.candidates, choice.lines, choice.scores, strict=True):
        parts = parts_of(candidate, line, demand)
        assert total(parts, demand.weights) == score.cost  # to the bit, so that a replay cannot choose otherwise
        if not demand.weights.is_strict:
            assert sum(terms(parts, demand.weights).values()) == pytest.approx(score.cost)


@settings(deadline=None)
@given(EVENTS, PRICED, st.text(min_size=1, max_size=20))
def test_a_recorded_choice_replays_to_the_same_answer(
    events: list[tuple[int, str, float, float, int]], prices: list[int], seed: str
) -> None:
    router, now = lived(events)
    choice = router.choose(offers(prices), Demand(900, 400.0), now=now, draw=draw_of(seed), seed=seed)
    record = choice.record()
    assert replay(record) == choice.candidate.endpoint_id
    assert sum(row["is_chosen"] for row in explain(record)) == 1


WISHES = st.builds(
    ProviderPreferences,
    order=st.lists(st.sampled_from(["p1", "p2", "p3"]), max_size=3, unique=True).map(tuple),
    only=st.lists(st.sampled_from(["p1", "p2", "p3", "p4"]), max_size=4).map(tuple),
    ignore=st.lists(st.sampled_from(["p2", "p5"]), max_size=2).map(tuple),
    allow_fallbacks=st.booleans(),
    data_collection=st.sampled_from(["allow", "deny"]),
    zdr=st.booleans(),
    quantizations=st.lists(st.sampled_from(["fp8", "bf16", "unknown"]), max_size=2).map(tuple),
    max_price=st.dictionaries(st.sampled_from(["prompt", "completion"]), st.integers(0, 10**12)),
    require_parameters=st.booleans(),
    sort=st.sampled_from([None, *sorted(PRESETS)]),
)
TRAITS = st.lists(
    st.tuples(
        st.booleans(), st.booleans(), st.sampled_from(["fp8", "bf16", "unknown"]),
        st.sampled_from([frozenset({"text"}), frozenset({"text", "image"})]), st.integers(1, 20_000),
        st.sampled_from([frozenset({"tools"}), frozenset({"temperature"})]),
    ),
    min_size=5, max_size=5,
)  # fmt: skip


@settings(deadline=None)
@given(EVENTS, PRICED, TRAITS, WISHES, st.booleans(), st.integers(0, 10_000))
def test_no_filter_is_ever_violated_and_order_is_obeyed(
    events: list[tuple[int, str, float, float, int]],
    prices: list[int],
    traits: list[tuple[bool, bool, str, frozenset[str], int, frozenset[str]]],
    wishes: ProviderPreferences,
    pictures: bool,
    tokens: int,
) -> None:
    router, now = lived(events)
    candidates = [
        replace(
            one, collects_data=collects, keeps_nothing=nothing, quantization=bits, inputs=inputs,
            context_length=context, max_output=None, parameters=parameters,
        )
        for one, (collects, nothing, bits, inputs, context, parameters) in zip(offers(prices), traits, strict=True)
    ]  # fmt: skip
    kinds = frozenset({"text", "image"}) if pictures else frozenset({"text"})
    need = Need(tokens * 4, tokens, None, inputs=kinds, parameters=frozenset({"tools"}))
    found = plan(groups=[candidates], need=need, preferences=wishes, router=router, now=now, seed="s")
    tried = [attempt.candidate for attempt in found.attempts]
    assert {one.endpoint_id for one in tried}.isdisjoint(one.candidate.endpoint_id for one in found.excluded)
    for one in tried:
        assert kinds <= one.inputs
        assert tokens <= one.context_length
        assert not wishes.only or one.provider in wishes.only
        assert one.provider not in wishes.ignore
        assert wishes.data_collection == "allow" or not one.collects_data
        assert not wishes.zdr or one.keeps_nothing
        assert not wishes.quantizations or one.quantization in wishes.quantizations
        assert all(one.prices[unit] <= most for unit, most in wishes.max_price.items())
        assert not wishes.require_parameters or "tools" in one.parameters
        assert wishes.allow_fallbacks or not wishes.order or any(matches(name, one) for name in wishes.order)
    places = [wishes.order.index(one.provider) for one in tried if one.provider in wishes.order]
    assert places == sorted(places)
    if not wishes.allow_fallbacks and not wishes.order:
        assert len(tried) <= 1
    if len(found.excluded) < len(candidates):
        assert tried, "what nothing excludes is never left out by the state of health"
