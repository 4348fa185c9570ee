"""The story of a chat, end to end against simulated providers: who answers, what is charged, and that it ends once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from billing.models import Charge, Hold, LedgerAccount, Wallet
from billing.services import balances
from marketplace.lib.errors import (
    AppError,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
)
from marketplace.lib.pool import run
from routing import upstream
from routing.api import shapes
from routing.canonical import Chunk
from routing.ingress import openai_chat
from routing.models import Attempt, Generation
from routing.selection import deadlines, router
from routing.selection.choice import replay
from routing.selection.retries import Budget
from routing.services import calls, chat
from routing.services.checkpoints import CHECKPOINTS
from routing.services.health import HEALTH
from tests.factories.routing import Buyer, buyer, endpoint
from tests.routing.conftest import Simulated

Simulate = Callable[..., Simulated]
FAULTS = [
    "500",
    "503",
    "429:1",
    "401",
    "402",
    "404",
    "hang",
    "malformed",
    "empty",
    "html",
    "redirect",
    "cut:0",
    "error:0",
]


def asked(**fields: Any) -> Any:
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "Tell me something"}], "max_tokens": 50}
    return openai_chat.parse(orjson.dumps(body | fields))


async def plain(who: Buyer, **fields: Any) -> chat.Completed:
    return await chat.complete(caller=who.caller, request=asked(**fields))


async def streamed(who: Buyer, **fields: Any) -> list[Any]:
    stream = await chat.open_stream(caller=who.caller, request=asked(stream=True, **fields))
    return [event async for event in stream.events()]


def text(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Chunk))


def only(status: str) -> Generation:
    row = Generation.objects.get()
    assert row.status == status
    return row


async def test_a_plain_chat_is_answered_charged_and_shared(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    made = await run(endpoint, sim.base_url)
    done = await plain(alice)
    usage = done.bill.usage
    exact = usage.prompt_tokens * 150_000_000 + usage.completion_tokens * 600_000_000
    assert done.bill.cost_nano == (exact + 500_000) // 1_000_000
    assert done.bill.prompt_cost_nano + done.bill.completion_cost_nano == done.bill.cost_nano
    assert "simulated" in done.chunk.text

    def look() -> None:
        row = only("finished")
        assert (row.cost_nano, row.completion_tokens, row.usage_source) == (done.bill.cost_nano, 12, "provider")
        assert row.endpoint_id == made.pk
        charge = Charge.objects.get()
        provider = balances.of(kind=LedgerAccount.Kind.PROVIDER_PAYABLE, owner_id=made.provider.account_id)
        house = balances.of(kind=LedgerAccount.Kind.PLATFORM_REVENUE)
        assert provider == charge.amount_nano * 9_500 // 10_000
        assert provider + house == charge.amount_nano
        wallet = Wallet.objects.get(account=alice.account)
        assert (wallet.balance_nano, wallet.held_nano) == (5 * 10**9 - charge.amount_nano, 0)

    await run(look)


async def test_a_provider_with_a_cost_gets_its_cost(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    made = await run(endpoint, sim.base_url, cost_per_million={"prompt": "0.10", "completion": "0.30"})
    usage = (await plain(alice)).bill.usage
    cost = (usage.prompt_tokens * 100_000_000 + usage.completion_tokens * 300_000_000 + 500_000) // 1_000_000
    payable = LedgerAccount.Kind.PROVIDER_PAYABLE
    assert await run(balances.of, kind=payable, owner_id=made.provider.account_id) == cost


async def test_a_stream_ends_with_its_bill(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    events = await streamed(alice)
    assert isinstance(events[-1], chat.Finished)
    assert sum(isinstance(event, chat.Finished | chat.Broken) for event in events) == 1
    assert text(events) == (await plain(alice)).chunk.text
    assert events[-1].bill.usage.completion_tokens == 12
    sent = sim.simulator.received[0].body
    assert sent["max_completion_tokens"] == 50
    assert sent["model"] == "simulated"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_before_the_first_piece_fails_over(
    simulate: Simulate, alice: Buyer, fault: str, stream: bool
) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    await run(endpoint, bad.base_url, provider="sim-bad", per_million={"prompt": "0.01", "completion": "0.01"})
    await run(endpoint, good.base_url, provider="sim-good")
    bad.order(fault, always=True)
    answer = text(await streamed(alice)) if stream else (await plain(alice)).chunk.text
    assert "sim-good" in answer
    assert (bad.calls, good.calls) == (1, 1)

    def look() -> None:
        row = only("finished")
        assert [attempt.error_kind == "" for attempt in row.attempts.all()] == [False, True]
        assert Charge.objects.get().labels["provider"] == "sim-good"

    await run(look)
    await plain(alice)  # the ill one is not asked again at once
    assert (bad.calls, good.calls) == (1, 2)


async def test_a_provider_that_is_not_there_fails_over(simulate: Simulate, alice: Buyer, settings: Any) -> None:
    good = simulate("sim-good")
    settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {"127.0.0.1:9"}
    await run(endpoint, "http://127.0.0.1:9/v1", provider="sim-gone", per_million={"prompt": "0.01"})
    await run(endpoint, good.base_url, provider="sim-good")
    assert "sim-good" in (await plain(alice)).chunk.text


ENDINGS: list[tuple[str, type[AppError], str]] = [
    ("500", UpstreamFailed, "provider_unavailable"),
    ("429:7", RateLimited, "rate_limit_exceeded"),
    ("hang", UpstreamTimeout, "timeout"),
    ("401", UpstreamFailed, "provider_unavailable"),
    ("400", InvalidRequest, "invalid_request"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "kind", "error_type"), ENDINGS)
async def test_when_all_fail_nothing_is_charged_and_the_error_is_true(
    simulate: Simulate, alice: Buyer, fault: str, kind: type[AppError], error_type: str, stream: bool
) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    sim.order(fault, always=True)
    with pytest.raises(kind) as caught:
        await (streamed(alice) if stream else plain(alice))
    assert caught.value.kind == error_type
    if fault.startswith("429"):
        assert caught.value.headers["Retry-After"] == "7"

    def look() -> None:
        assert only("failed").cost_nano == 0
        assert Hold.objects.get().state == Hold.State.RELEASED
        assert not Charge.objects.exists()

    await run(look)


async def test_a_callers_mistake_is_not_tried_elsewhere_unless_another_model_is_named(
    simulate: Simulate, alice: Buyer
) -> None:
    first, second, other = simulate("sim-a"), simulate("sim-b"), simulate("sim-c")
    await run(endpoint, first.base_url, provider="sim-a", per_million={"prompt": "0.01"})
    await run(endpoint, second.base_url, provider="sim-b")
    await run(endpoint, other.base_url, provider="sim-c", model_slug="acme/large")
    first.order("400", always=True)
    with pytest.raises(InvalidRequest, match="Simulated refusal"):
        await plain(alice)
    assert (first.calls, second.calls) == (1, 0)
    done = await plain(alice, models=["acme/large"])
    assert done.route.candidate.model == "acme/large"
    assert (first.calls, second.calls, other.calls) == (2, 0, 1)


@pytest.mark.parametrize("at", range(1, 12, 3))
@pytest.mark.parametrize("how", ["cut", "clip", "error", "stall"])
async def test_a_stream_that_breaks_says_so_and_charges_what_was_delivered(
    simulate: Simulate, alice: Buyer, how: str, at: int
) -> None:
    sim, spare = simulate("sim-a", tps=200), simulate("sim-b")
    await run(endpoint, sim.base_url, provider="sim-a", per_million={"prompt": "0.01", "completion": "0.60"})
    await run(endpoint, spare.base_url, provider="sim-b")
    sim.order(f"{how}:{at}")
    events = await streamed(alice)
    assert isinstance(events[-1], chat.Broken)
    assert spare.calls == 0
    bill = events[-1].bill
    assert bill.usage.source == "counted"
    assert bill.usage.completion_tokens == -(-len(text(events).encode()) // 4)

    def look() -> None:
        row = only("failed")
        assert (row.cost_nano, row.finish_reason) == (bill.cost_nano, "error")
        assert Charge.objects.get().amount_nano == bill.cost_nano > 0

    await run(look)


@pytest.mark.parametrize("fault", ["nousage", "badusage"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_usage_that_never_comes_is_counted(simulate: Simulate, alice: Buyer, fault: str, stream: bool) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    sim.order(fault)
    bill = (await streamed(alice))[-1].bill if stream else (await plain(alice)).bill
    assert bill.usage.source == "counted"
    assert bill.cost_nano > 0


async def test_a_caller_that_goes_away_pays_for_what_was_delivered(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate(tokens=500, tps=50)
    await run(endpoint, sim.base_url)
    stream = await chat.open_stream(caller=alice.caller, request=asked(stream=True, max_tokens=500))
    events = stream.events()
    got = [await anext(events) for _ in range(6)]
    await events.aclose()  # type: ignore[attr-defined]

    def look() -> None:
        row = only("canceled")
        assert row.usage_source == "counted"
        assert row.delivered_bytes == len(text(got).encode())
        assert Charge.objects.get().amount_nano == row.cost_nano > 0

    await run(look)
    await _until(lambda: sim.simulator.received[0].outcome == "disconnected")


async def test_a_stream_that_nobody_reads_ends_when_it_is_closed(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate(tokens=500, tps=50)
    await run(endpoint, sim.base_url)
    stream = await chat.open_stream(caller=alice.caller, request=asked(stream=True, max_tokens=500))
    stream.hang_up_soon()
    await _until(lambda: sim.simulator.received[0].outcome == "disconnected")
    await _until(lambda: not CHECKPOINTS.is_busy and not calls.PENDING)  # its settlement included
    assert await run(lambda: only("canceled").cost_nano) == 0


async def test_a_stream_that_nobody_reads_ends_by_itself(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "UNREAD_SECONDS", 0.1)
    sim = simulate(tokens=500, tps=50)
    await run(endpoint, sim.base_url)
    await chat.open_stream(caller=alice.caller, request=asked(stream=True, max_tokens=500))
    await _until(lambda: sim.simulator.received[0].outcome == "disconnected")
    await _until(lambda: not CHECKPOINTS.is_busy and not calls.PENDING)  # its settlement included
    assert await run(lambda: only("canceled").cost_nano) == 0


async def test_a_stream_that_was_ended_under_its_reader_is_no_clean_end(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "STREAM_SECONDS", 0.3)
    sim = simulate(tokens=500, tps=50)
    await run(endpoint, sim.base_url)
    stream = await chat.open_stream(caller=alice.caller, request=asked(stream=True, max_tokens=500))
    events = stream.events()
    got = [await anext(events) for _ in range(4)]
    await _until(lambda: sim.simulator.received[0].outcome == "disconnected")
    rest = [event async for event in events]
    assert isinstance(rest[-1], chat.Broken)
    paid = await run(lambda: Charge.objects.get().amount_nano)
    assert paid == await run(lambda: only("canceled").cost_nano) > 0
    assert text(got)


async def test_a_plain_call_that_is_given_up_costs_nothing_and_ends_upstream_by_its_deadline(
    simulate: Simulate, alice: Buyer
) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    sim.order("hang")
    work = asyncio.ensure_future(plain(alice))
    await _until(lambda: sim.calls == 1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await run(lambda: only("canceled").cost_nano) == 0
    await _until(lambda: sim.simulator.received[0].outcome == "disconnected")


async def test_silence_brings_keep_alives(simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "KEEP_ALIVE_SECONDS", 0.05)
    sim = simulate(tps=5, tokens=4)
    await run(endpoint, sim.base_url)
    events = await streamed(alice)
    assert sum(isinstance(event, chat.Waiting) for event in events) > 3
    assert isinstance(events[-1], chat.Finished)


async def test_without_a_cap_the_affordable_one_is_sent_upstream(simulate: Simulate, money: None) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url, per_million={"prompt": "1", "completion": "1000"})
    poor = await run(buyer, dollars="0.02")
    await plain(poor, max_tokens=None)
    cap = sim.simulator.received[0].body["max_completion_tokens"]
    assert 15 <= cap <= 20
    rich = await run(buyer, email="rich@example.com", dollars="50")
    await plain(rich, max_tokens=None)
    assert sim.simulator.received[1].body["max_completion_tokens"] == 2_048


async def test_a_wallet_too_small_for_the_dear_endpoint_uses_the_cheap_one(simulate: Simulate, money: None) -> None:
    dear, cheap = simulate("sim-dear"), simulate("sim-cheap")
    await run(endpoint, dear.base_url, provider="sim-dear", per_million={"prompt": "0", "completion": "1000"})
    await run(endpoint, cheap.base_url, provider="sim-cheap")
    poor = await run(buyer, dollars="0.01")
    done = await plain(poor, provider={"order": ["sim-dear"]})
    assert done.route.candidate.provider == "sim-cheap"


async def test_what_cannot_be_afforded_is_never_called(simulate: Simulate, money: None) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    poor = await run(buyer, dollars="0")
    for fields in ({}, {"max_tokens": None}):
        with pytest.raises(PaymentRequired, match="can only afford 0") as refused:
            await plain(poor, **fields)
        assert "fewer max_tokens" not in refused.value.message  # none would be few enough
    assert sim.calls == 0
    assert not await run(Generation.objects.exists)


async def test_a_keys_limit_binds(simulate: Simulate, money: None) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    limited = await run(buyer, limit_nano=10)
    with pytest.raises(PaymentRequired, match="This key's spend limit is reached"):  # the wallet has credit enough
        await plain(limited)
    assert sim.calls == 0


async def test_what_was_too_long_for_an_endpoint_goes_on_to_one_with_more_room_alone(
    simulate: Simulate, alice: Buyer
) -> None:
    sims = {name: simulate(name) for name in ("sim-small", "sim-alike", "sim-wide")}
    for dollars, (name, sim) in enumerate(sims.items(), start=1):
        room = 100_000 if name == "sim-wide" else 8_192
        price = {"prompt": str(dollars), "completion": str(dollars)}
        await run(endpoint, sim.base_url, provider=name, per_million=price, context_length=room)
    sims["sim-small"].order("413", always=True)
    done = await plain(alice)
    assert done.route.candidate.provider == "sim-wide"
    assert [sim.calls for sim in sims.values()] == [1, 0, 1]
    sims["sim-wide"].order("413")
    with pytest.raises(InvalidRequest) as refused:
        await plain(alice)
    assert refused.value.kind == "context_length_exceeded"
    assert [sim.calls for sim in sims.values()] == [2, 0, 2]


async def test_unknown_models_and_models_that_nobody_serves(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url, model_slug="acme/large")
    with pytest.raises(InvalidRequest, match="acme/none") as unknown:
        await plain(alice, model="acme/none")
    assert unknown.value.metadata["availability"]["code"] == "model_not_found"
    for misspelt in ("acme/lage", "Acme/Large-", "large", "lar", "lareg", "akme/large:floor"):
        with pytest.raises(InvalidRequest, match=r"Did you mean acme/large\?"):
            await plain(alice, model=misspelt)
    with pytest.raises(NotFound) as excluded:
        await plain(alice, model="acme/large", provider={"ignore": ["sim-one"]})
    assert excluded.value.metadata["excluded"] == [
        {"provider": "sim-one", "model": "acme/large", "reason": "allowed_providers", "detail": "in provider.ignore"}
    ]
    assert "in provider.ignore. Its providers: sim-one." in excluded.value.message


async def test_nothing_that_was_said_is_kept(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    sim.order("400", "ok")
    canary = "canary-b2c7"
    with pytest.raises(InvalidRequest):
        await plain(alice, messages=[{"role": "user", "content": canary}], user=canary)
    await plain(alice, messages=[{"role": "user", "content": canary}], user=canary)

    def look() -> None:
        for table in (Generation, Attempt, Charge, Hold):
            for row in table.objects.all().values():
                assert canary not in str(row)

    await run(look)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within twenty seconds")


async def test_a_silent_endpoint_is_left_long_before_the_senders_own_deadline(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", upstream.Deadlines(first_chunk=30))
    monkeypatch.setattr(deadlines, "LEAST", 0.2)
    monkeypatch.setattr(deadlines, "SPREADS", 0.1)
    bad, good = simulate("sim-bad"), simulate("sim-good")
    await run(endpoint, bad.base_url, provider="sim-bad", per_million={"prompt": "0.01", "completion": "0.01"})
    await run(endpoint, good.base_url, provider="sim-good")
    bad.order("hang", always=True)
    started = time.monotonic()
    assert "sim-good" in text(await streamed(alice))
    assert time.monotonic() - started < 15
    assert bad.calls == 1


async def test_streams_that_wait_at_an_endpoint_that_falls_silent_are_moved_together(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", upstream.Deadlines(first_chunk=300))
    monkeypatch.setattr(deadlines, "LEAST", 300.0)
    monkeypatch.setattr(deadlines, "MOST", 300.0)
    bad, good = simulate("sim-bad"), simulate("sim-good")
    cheap = {"prompt": "0.01", "completion": "0.01"}
    silent = await run(endpoint, bad.base_url, provider="sim-bad", per_million=cheap)
    await run(endpoint, good.base_url, provider="sim-good")
    for _ in range(10):
        HEALTH.first(HEALTH.begin(silent.pk, tokens=10))
    bad.order("hang", always=True)
    answers = await asyncio.gather(*(streamed(alice) for _ in range(5)))
    assert all("sim-good" in text(events) for events in answers)
    assert bad.calls > 1

    def look() -> None:
        assert set(Attempt.objects.filter(endpoint=silent).values_list("error_kind", flat=True)) == {"timeout"}
        assert Charge.objects.count() == 5

    await run(look)


async def test_who_waited_long_enough_while_those_in_time_want_every_place_is_asked_to_come_back(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "YIELDS_AFTER", 0.0)
    monkeypatch.setattr(router, "HOLD_MOST", 0.6)
    sim = simulate()
    row = await run(endpoint, sim.base_url)
    standing = HEALTH.router.standing(row.pk)
    standing.latency.restart(seconds=60.0, tokens=0, now=time.monotonic())
    standing.refresh(time.monotonic())
    standing.wanted_until = time.monotonic() + 600
    with pytest.raises(RateLimited) as caught:
        await streamed(alice)
    assert int(caught.value.headers["Retry-After"]) >= 1
    assert sim.calls == 0
    assert await run(lambda: Hold.objects.get().state) == Hold.State.RELEASED
    standing.wanted_until = 0.0
    assert "sim-one" in text(await streamed(alice))


async def test_a_generation_keeps_its_choice_and_the_choice_replays(simulate: Simulate, alice: Buyer) -> None:
    cheap, dear = simulate("sim-cheap"), simulate("sim-dear")
    made = await run(endpoint, cheap.base_url, provider="sim-cheap", per_million={"prompt": "0.01"})
    await run(endpoint, dear.base_url, provider="sim-dear", per_million={"prompt": "9"})
    await plain(alice)

    def look() -> None:
        kept = only("finished").choice
        assert kept["order"][0] == kept["choice"]["chosen"] == made.pk
        assert kept["choice"]["seed"] == str(only("finished").pk)
        assert len(kept["choice"]["endpoints"]) == 2
        assert replay(kept["choice"]) == made.pk

    await run(look)


async def test_without_budget_a_failure_is_not_tried_elsewhere(simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    await run(endpoint, bad.base_url, provider="sim-bad", per_million={"prompt": "0.01"})
    await run(endpoint, good.base_url, provider="sim-good")
    bad.order("500", always=True)
    HEALTH.router.retries = Budget(share=0.0, per_second=0.0)
    HEALTH.router.retries.tokens = 0.0
    with pytest.raises(UpstreamFailed):
        await plain(alice)
    assert (bad.calls, good.calls) == (1, 0)


async def test_a_variant_the_latest_of_a_family_and_auto_find_their_model(simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    await run(endpoint, sim.base_url)
    await run(endpoint, sim.base_url, model_slug="acme/big-2")
    await run(endpoint, sim.base_url, model_slug="acme/wide-7b", per_million={"prompt": "9", "completion": "9"})
    for word, model, strategy in [
        ("acme/small:nitro", "acme/small", "direct"),
        ("~acme/big-latest", "acme/big-2", "latest"),
        ("~acme/wide-latest", "acme/wide-7b", "latest"),
        ("auto", "acme/big-2", "auto"),
    ]:
        body = orjson.dumps({"model": word, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]})
        done = await chat.complete(caller=alice.caller, request=openai_chat.parse(body))
        assert done.route.candidate.model == model
        row = await run(Generation.objects.get, pk=done.generation_id)
        assert row.choice["strategy"] == strategy
    assert "chat task" in row.choice["reason"]
    assert row.choice["reason"] in done.told["summary"]
    assert (await run(shapes.generation, row))["routing"]["model_reason"] == row.choice["reason"]


async def test_a_free_variant_is_never_served_at_a_price(simulate: Simulate, alice: Buyer) -> None:
    await run(endpoint, simulate().base_url)
    body = orjson.dumps({"model": "acme/small:free", "messages": [{"role": "user", "content": "Hello"}]})
    with pytest.raises(NotFound, match=r"acme/small free of charge: ask for it without ':free'"):
        await chat.complete(caller=alice.caller, request=openai_chat.parse(body))


async def test_what_a_long_prompt_costs_is_charged_and_kept_as_applied(simulate: Simulate, alice: Buyer) -> None:
    table = {
        "prompt": "1",
        "completion": "1",
        "prompt>3": "2",
        "completion@0000-1200": "4",
        "completion@1200-0000": "4",
    }
    await run(endpoint, simulate().base_url, per_million=table)
    done = await plain(alice)

    def look() -> None:
        generation, charge = Generation.objects.get(), Charge.objects.get()
        assert generation.prompt_tokens > 3
        assert charge.prices == {"prompt": 2_000_000_000, "completion": 4_000_000_000}
        expected = 2_000 * generation.prompt_tokens + 4_000 * generation.completion_tokens
        assert charge.amount_nano == done.bill.cost_nano == expected
        assert generation.prices["prompt>3"] == 2_000_000_000  # the whole table as it stood

    await run(look)
