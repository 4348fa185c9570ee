"""The simulated provider over real sockets: what it answers, and each fault that can be ordered."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, OpenAI

from routing.simulation import faults
from routing.simulation.app import Pace, Simulator
from routing.simulation.faults import Rates, Script
from routing.simulation.quota import Quota
from routing.simulation.server import running

HELLO = {"model": "m", "messages": [{"role": "user", "content": "Say something nice"}]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(name="sim-test", pace=Pace(tokens=12))


@pytest.fixture
def provider(simulator: Simulator) -> Iterator[httpx.Client]:
    with running(simulator) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
        yield client


def ask(provider: httpx.Client, **fields: Any) -> httpx.Response:
    return provider.post("/v1/chat/completions", json=HELLO | fields)


def order(provider: httpx.Client, *script: str, always: bool = False) -> None:
    provider.post("/_faults", json={"script": script, "always": always}).raise_for_status()


def test_it_answers_the_official_client(provider: httpx.Client) -> None:
    client = OpenAI(base_url=f"{provider.base_url}/v1", api_key="any")
    answer = client.chat.completions.create(**HELLO, max_tokens=9)  # type: ignore[call-overload]
    assert "simulated" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 9
    stream = client.chat.completions.create(**HELLO, stream=True, stream_options={"include_usage": True})  # type: ignore[call-overload]
    chunks = list(stream)
    assert chunks[-1].usage.completion_tokens == 12
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ask(provider).json()["choices"][0]["message"]["content"]
    assert [model.id for model in client.models.list()] == ["simulated"]


def test_it_calls_a_tool_and_then_speaks(provider: httpx.Client) -> None:
    choice = ask(provider, tools=[WEATHER]).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"city": "simulated"}
    answered = [
        *HELLO["messages"],
        choice["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "4"},
    ]
    assert ask(provider, tools=[WEATHER], messages=answered).json()["choices"][0]["finish_reason"] == "stop"


def test_it_fills_a_schema(provider: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a"]}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = ask(provider, response_format=wanted, max_tokens=100).json()["choices"][0]["message"]["content"]
    assert json.loads(content) == {"n": 1, "tags": ["a"]}


def test_it_checks_its_key() -> None:
    with running(Simulator(name="sim-test", api_key="right")) as port:
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="wrong", max_retries=0)
        with pytest.raises(AuthenticationError):
            client.chat.completions.create(**HELLO)  # type: ignore[call-overload]


@pytest.mark.parametrize("stream", [False, True])
def test_refusals_in_order_and_then_well_again(provider: httpx.Client, stream: bool) -> None:
    order(provider, "500", "429:2", "400", "ok")
    answers = [ask(provider, stream=stream) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [500, 429, 400, 200, 200]
    assert answers[1].headers["retry-after"] == "2"


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_is_no_clean_end(provider: httpx.Client, stream: bool) -> None:
    order(provider, "cut:3")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(provider, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_a_hang_is_silent(provider: httpx.Client, stream: bool) -> None:
    order(provider, "hang")
    with pytest.raises(httpx.ReadTimeout):
        provider.post("/v1/chat/completions", json=HELLO | {"stream": stream}, timeout=0.3)


def test_other_faults_of_a_stream(provider: httpx.Client) -> None:
    order(provider, "malformed", "empty", "clip:2", "error:1", "nousage", "badusage")
    bodies = [ask(provider, stream=True, stream_options={"include_usage": True}).text for _ in range(6)]
    malformed, empty, clipped, error, unused, negative = bodies
    assert malformed.startswith('data: {"choices": [{"index": 0, "delta": {"content": "half of\n')
    assert empty == "data: [DONE]\n\n"
    assert 'finish_reason": "stop' not in clipped
    assert clipped.count("data: ") == 3
    assert '"error"' in error
    assert "[DONE]" not in error
    assert "usage" not in unused
    assert '"completion_tokens": -12' in negative


def test_it_remembers_what_it_was_asked_but_no_key(provider: httpx.Client) -> None:
    provider.post("/v1/chat/completions", json=HELLO, headers={"authorization": "Bearer secret"})
    deadline = time.monotonic() + 30
    (seen,) = provider.get("/_requests").json()
    while seen["outcome"] == "open" and time.monotonic() < deadline:  # noted a little after the answer is out
        (seen,) = provider.get("/_requests").json()
    assert seen["body"] == HELLO
    assert seen["outcome"] == "done"
    assert "secret" not in json.dumps(seen)


def test_an_unknown_fault_is_refused(provider: httpx.Client) -> None:
    assert provider.post("/_faults", json={"script": ["explode"]}).status_code == 400


def test_chance_is_repeatable_and_about_as_often_as_told() -> None:
    def draw(seed: int) -> list[str]:
        script = Script(rates=Rates(error=0.2, rate_limit=0.1, hang=0.05, cut=0.05), seed=seed)
        return [script.next().kind for _ in range(2_000)]

    assert draw(1) == draw(1) != draw(2)
    assert 0.55 < draw(3).count("ok") / 2_000 < 0.65


def test_always_holds_until_the_next_order() -> None:
    script = Script(rates=Rates(), seed=0)
    script.order(["500", "hang"], always=True)
    assert [script.next().kind for _ in range(4)] == ["status", "hang", "hang", "hang"]
    script.order([])
    assert script.next() == faults.OK


def test_a_quota_is_told_of_in_every_answer_and_kept(simulator: Simulator, provider: httpx.Client) -> None:
    simulator.quota = Quota(2, period=3_600)
    said = [ask(provider).headers for _ in range(2)]
    assert [one["x-ratelimit-remaining-requests"] for one in said] == ["1", "0"]
    assert said[0]["x-ratelimit-limit-requests"] == "2"
    assert said[0]["x-ratelimit-reset-requests"].startswith("1800.")
    refused = ask(provider)
    assert refused.status_code == 429
    assert 1_700 < int(refused.headers["retry-after"]) <= 1_800
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
