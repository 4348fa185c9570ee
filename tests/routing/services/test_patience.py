"""How long a provider may take: what a model thinks, reads and writes before it answers gets time of its own."""

from dataclasses import replace
from typing import Any

import pytest

from marketplace.lib.errors import AppError
from marketplace.lib.pool import run
from routing import upstream
from routing.selection import deadlines
from routing.upstream import Deadlines
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import QUICK
from tests.routing.services.test_chat import Simulate, plain, streamed, text

pytestmark = pytest.mark.django_db(transaction=True)

THINKS: dict[str, Any] = {"parameters": ["temperature", "reasoning"]}


@pytest.mark.parametrize(
    ("prompt_tokens", "thinks", "seconds"),
    [(0, False, 30), (1_000, False, 31), (100_000, False, 130), (0, True, 300), (2_000_000, True, 600)],
)
def test_a_first_piece_is_waited_for_by_what_is_read_and_thought(
    prompt_tokens: int, thinks: bool, seconds: float
) -> None:
    assert Deadlines().to_first_piece(prompt_tokens=prompt_tokens, thinks=thinks) == seconds


@pytest.mark.parametrize(
    ("prompt_tokens", "max_tokens", "seconds"),
    [(0, 30, 121), (1_000, 3_000, 221), (100_000, 30, 221), (0, 64_000, 600)],
)
def test_a_whole_answer_is_waited_for_by_how_long_it_may_be(
    prompt_tokens: int, max_tokens: int, seconds: float
) -> None:
    assert Deadlines().to_answer(prompt_tokens=prompt_tokens, max_tokens=max_tokens) == seconds


def test_an_operators_own_bound_is_kept_where_it_is_longer_than_all() -> None:
    assert Deadlines(first_chunk=900).to_first_piece(prompt_tokens=50_000, thinks=False) == 900


@pytest.mark.parametrize(
    ("offers", "asks", "waits"),
    [
        (THINKS, {}, True),
        (THINKS, {"reasoning": {"effort": "high"}}, True),
        (THINKS, {"reasoning": {"enabled": False}}, False),
        ({}, {}, False),
    ],
    ids=["thinks by itself", "is asked to think", "is told not to think", "cannot think"],
)
async def test_a_model_that_may_think_in_silence_is_waited_for(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch, offers: Any, asks: Any, waits: bool
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", replace(QUICK, thinking=30))
    await run(endpoint, simulate(ttft=1.2).base_url, **offers)
    if waits:
        assert "simulated" in text(await streamed(alice, **asks))
    else:
        with pytest.raises(AppError):
            await streamed(alice, **asks)


async def test_a_long_plain_answer_is_waited_for(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", replace(QUICK, written_per_second=100))
    await run(endpoint, simulate(ttft=1.2).base_url)
    assert (await plain(alice, max_tokens=2_000)).route.candidate.provider == "sim-one"
    with pytest.raises(AppError):
        await plain(alice, max_tokens=10)


async def test_time_for_thoughts_is_given_once_and_not_at_each_endpoint(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", replace(QUICK, thinking=2))
    silent = [simulate("sim-one"), simulate("sim-two")]
    for one in silent:
        await run(endpoint, one.base_url, provider=one.simulator.name, **THINKS)
        one.simulator.script.order(["hang"], always=True)
    waited: list[float] = []
    open_stream = upstream.SENDER.open_stream

    async def noted(request: Any, *, adapter: Any, patience: float | None = None) -> Any:
        assert patience is not None
        waited.append(patience)
        return await open_stream(request, adapter=adapter, patience=patience)

    monkeypatch.setattr(upstream.SENDER, "open_stream", noted)
    with pytest.raises(AppError):
        await streamed(alice)
    assert len(waited) == 2
    assert waited[0] == pytest.approx(2, abs=0.1)
    assert waited[1] < 1.2


@pytest.mark.parametrize(("asks", "answers"), [({}, "sim-slow"), ({"reasoning": {"enabled": False}}, "sim-other")])
async def test_who_may_be_thinking_is_not_left_for_another(
    simulate: Simulate, alice: Buyer, monkeypatch: pytest.MonkeyPatch, asks: Any, answers: str
) -> None:
    monkeypatch.setattr(upstream.SENDER, "limits", Deadlines())
    monkeypatch.setattr(deadlines, "LEAST", 0.2)
    monkeypatch.setattr(deadlines, "SPREADS", 0.1)
    slow, other = simulate("sim-slow", ttft=4), simulate("sim-other")
    cheap = {"prompt": "0.01", "completion": "0.01"}
    await run(endpoint, slow.base_url, provider="sim-slow", per_million=cheap, **THINKS)
    await run(endpoint, other.base_url, provider="sim-other", **THINKS)
    assert answers in text(await streamed(alice, **asks))
    assert slow.calls == 1
