"""A provider that keeps to no rule, over real sockets: a typed end for every caller, and the right charge.

The cases are those of contracts.md (Streams 1-5): what comes before the first sound piece is an error with a true
status and costs nothing; what breaks after it is one error event, and what was delivered is charged.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from billing.models import Charge, Hold
from routing import upstream
from routing.models import Generation
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import QUICK, Simulated
from tests.routing.dialects import CHAT, COMPLETIONS, DIALECTS, GEMINI, MESSAGES, RESPONSES, Dialect
from tests.routing.hostile import (
    CHUNKED,
    END,
    EVENTS,
    SOUND,
    STATUS,
    USAGE,
    WORDS,
    Provider,
    Script,
    chunked,
    delta,
    drips,
    event,
    finish,
    hangs,
    listening,
    resets,
    says,
    then,
)

Simulate = Callable[..., Simulated]
WHOLE = event(json.dumps(delta(SOUND), ensure_ascii=False).encode()) + END
LETTER = WHOLE.index("€".encode()) + 1


def ended(usage: Any) -> Script:
    """Words and an end with this usage."""
    return says(EVENTS + WORDS + event(finish(usage=usage)) + event(b"[DONE]"))


def first(data: bytes) -> Script:
    """Something before any words."""
    return says(EVENTS + data + WHOLE)


def later(data: bytes) -> Script:
    """Something after the words."""
    return says(EVENTS + WORDS, data + END)


# What the caller gets: `clean` the words and the provider's count, `counted` the words and our count,
# `broken` the words and then one error, or the status of an error before anything.
CASES: dict[str, tuple[Script, str | int]] = {
    # where bytes are cut, and how lines end
    "cut inside a letter": (says(EVENTS + WHOLE[:LETTER], WHOLE[LETTER:]), "clean"),
    "a byte at a time": (says(EVENTS, *(bytes([byte]) for byte in WHOLE), pause=0), "clean"),
    "CRLF": (says(EVENTS + WHOLE.replace(b"\n", b"\r\n")), "clean"),
    "CRLF cut between": (says(EVENTS + event(delta(SOUND), b"\r"), b"\n\r", b"\n" + END), "clean"),
    "CR alone": (says(EVENTS + WHOLE.replace(b"\n", b"\r")), "clean"),
    "a byte order mark": (says(EVENTS + b"\xef\xbb\xbf" + WHOLE), "clean"),
    "no blank after the colon": (says(EVENTS + WHOLE.replace(b"data: ", b"data:")), "clean"),
    "data on two lines": (says(EVENTS + WHOLE.replace(b'"choices":', b'\ndata: "choices":')), "clean"),
    "comments between": (says(EVENTS + b": PROCESSING\n\n" + WORDS + b": still\n\n" + END), "clean"),
    "other fields": (says(EVENTS + b"retry: 10\nid: 7\nevent: chunk\n" + WHOLE), "clean"),
    "no line end at the end": (says(EVENTS + WHOLE.rstrip(b"\n")), "clean"),
    "no mark of the end": (says(EVENTS + WORDS + event(finish(usage=USAGE))), "clean"),
    "more after the end": (says(EVENTS + WHOLE + event(delta("more"))), "clean"),
    "chunks of the transfer": (says(CHUNKED + chunked(WHOLE[:9]), chunked(WHOLE[9:]) + b"0\r\n\r\n"), "clean"),
    "hints before the answer": (says(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + EVENTS + WHOLE), "clean"),
    # usage that is wrong, twice, or not there
    "usage by itself": (says(EVENTS + WORDS + event(finish()) + event({"choices": [], "usage": USAGE})), "clean"),
    "usage twice": (says(EVENTS + WORDS + event(finish(usage={**USAGE, "prompt_tokens": 1})) + END), "clean"),
    "usage null on the way": (says(EVENTS + event({**delta(SOUND), "usage": None}) + END), "clean"),
    "no usage": (ended(None), "counted"),
    "usage below nought": (ended({"prompt_tokens": 7, "completion_tokens": -5}), "counted"),
    "usage without end": (ended({"prompt_tokens": 7, "completion_tokens": 10**30}), "counted"),
    "usage with a fraction": (ended({"prompt_tokens": 7.5, "completion_tokens": 5}), "counted"),
    "usage as words": (ended("many"), "counted"),
    "usage true": (ended({"prompt_tokens": True, "completion_tokens": True}), "counted"),
    # JSON that is none, or says something else
    "no JSON first": (first(event(b"{nonsense")), 502),
    "no JSON later": (later(event(b"{nonsense")), "broken"),
    "a list": (first(event([1])), 502),
    "a number": (first(event(7)), 502),
    "NaN": (later(event(b'{"choices": NaN}')), "broken"),
    "half a surrogate": (later(event(b'{"choices":[{"delta":{"content":"\\ud800"}}]}')), "broken"),
    "a null byte": (later(event(b'{"a":"\x00"}')), "broken"),
    "brackets without end": (first(event(b'{"choices":' + b"[" * 100_000)), 502),
    "choices as words": (first(event({"choices": "none"})), 502),
    "a choice that is null": (first(event({"choices": [None]})), 502),
    "a delta that is a list": (first(event({"choices": [{"delta": []}]})), 502),
    "content that is a number": (later(event({"choices": [{"delta": {"content": 7}}]})), "broken"),
    "tool calls as words": (later(event({"choices": [{"delta": {"tool_calls": "x"}}]})), "broken"),
    "a call of nothing": (later(event({"choices": [{"delta": {"tool_calls": [{}]}}]})), "broken"),
    "letters that are none": (says(EVENTS + event(delta(SOUND)) + b": \xff\xfe\n\n" + END), "clean"),
    "an end of an unknown kind": (says(EVENTS + WORDS + event(finish("weary", usage=USAGE))), "clean"),
    "an end that is a number": (says(EVENTS + WORDS + event(finish(7))), "broken"),
    # errors inside an answer
    "an error first": (first(event({"error": {"message": "No."}})), 502),
    "a limit first": (first(event({"error": {"message": "Slow.", "code": 429}})), 429),
    "an error later": (later(event({"error": {"message": "No."}})), "broken"),
    "an error that is a word": (later(event({"error": "No."})), "broken"),
    "an end for an error": (says(EVENTS + WORDS, event(finish("error"))), "broken"),
    # what is no answer at all
    "nothing": (says(EVENTS), 502),
    "only the mark of the end": (says(EVENTS + event(b"[DONE]")), 502),
    "a web page": (says(STATUS + b"content-type: text/html\r\nconnection: close\r\n\r\n<!doctype html>Soon back"), 502),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), 502),
    "another address": (says(b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"), 502),
    "no HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), 502),
    "a header without end": (says(STATUS + b"x: " + b"x" * 2_000_000), 502),
    "a coding that nobody asked for": (
        says(STATUS + b"content-encoding: gzip\r\nconnection: close\r\n\r\n" + gzip.compress(b"0" * 50_000_000)),
        502,
    ),
    "a line without end": (says(EVENTS + b"data: " + b"x" * 17 * 1024 * 1024), 502),
    # connections that break, or fall silent
    "closed after the words": (says(EVENTS + WORDS), "broken"),
    "reset at once": (resets, 502),
    "reset after the head": (then(says(EVENTS), resets), 502),
    "reset after the words": (then(says(EVENTS + WORDS, b""), resets), "broken"),
    "shorter than it said": (says(STATUS + b"content-length: 9999\r\n\r\n" + WORDS), "broken"),
    "a chunk cut short": (says(CHUNKED + chunked(WORDS) + b"ff\r\ndata"), "broken"),
    "a chunk of no size": (says(CHUNKED + chunked(WORDS), b"zz\r\n" + END), "broken"),
    "silence": (hangs, 504),
    "silence after the head": (then(says(EVENTS), hangs), 504),
    "silence after the words": (then(says(EVENTS + WORDS), hangs), "broken"),
    "comments without end": (then(says(EVENTS), drips(b": wait\n\n")), 504),
}  # fmt: skip


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with listening(Provider()) as found:
        settings.PRIVATE_ORIGINS = settings.PRIVATE_ORIGINS | {f"127.0.0.1:{found.port}"}
        yield found


def serve(provider: Provider, name: str, script: Script) -> str:
    """A model whose endpoint answers so; its name."""
    slug = f"acme/case-{len(provider.scripts)}"
    provider.scripts[name] = script
    endpoint(provider.base_url, model_slug=slug, upstream=name)
    return slug


@pytest.fixture(autouse=True)
def _before_it_gives_up(_short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway runs out of time before a provider here does, which is silent for ten seconds and drips for six."""
    monkeypatch.setattr(upstream.SENDER, "limits", replace(QUICK, first_chunk=3, thinking=3, answer=3, idle=3))


def post(gateway: str, who: Buyer, model: str, dialect: Dialect = CHAT, **fields: Any) -> httpx.Response:
    """A streamed question in a dialect."""
    path = dialect.path.replace("acme/small:generateContent", f"{model}:streamGenerateContent?alt=sse")
    body = dict(dialect.bodies["text"]) | ({"stream": True, "model": model} if dialect is not GEMINI else {}) | fields
    headers = {"authorization": f"Bearer {who.key}"}
    return httpx.post(gateway + path, json=body, headers=headers, timeout=120)


def outcome(answer: httpx.Response) -> str | int:
    """What the caller got, judged by nothing but the bytes."""
    assert "Traceback" not in answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["metadata"]["error_type"]
        return answer.status_code
    events = [one.removeprefix("data: ") for one in answer.text.split("\n\n") if one.startswith("data: ")]
    chunks = [json.loads(one) for one in events if one != "[DONE]"]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    assert text == SOUND
    assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    if "error" in chunks[-1]:
        assert (events[-1] != "[DONE]", chunks[-1]["choices"][0]["finish_reason"]) == (True, "error")
        return "broken"
    assert (events[-1], chunks[-2]["choices"][0]["finish_reason"]) == ("[DONE]", "stop")
    return "clean" if chunks[-1]["usage"]["usage_source"] == "provider" else "counted"


def test_whatever_a_provider_sends_has_a_typed_end_and_the_right_charge(
    gateway: str, provider: Provider, alice: Buyer
) -> None:
    models = {name: serve(provider, name, script) for name, (script, _) in CASES.items()}
    with ThreadPoolExecutor(6) as threads:
        answers = dict(
            zip(models, threads.map(lambda model: post(gateway, alice, model), models.values()), strict=True)
        )
    assert {name: outcome(answer) for name, answer in answers.items()} == {
        name: wanted for name, (_, wanted) in CASES.items()
    }
    rows = {row.requested_model: row for row in Generation.objects.all()}
    charged = dict(Charge.objects.values_list("reference", "amount_nano"))
    for name, (_, wanted) in CASES.items():
        row = rows[models[name]]
        if isinstance(wanted, int):
            assert (row.status, row.cost_nano, str(row.pk) in charged) == ("failed", 0, False), name
            continue
        assert charged[str(row.pk)] == row.cost_nano > 0, name
        assert row.status == ("failed" if wanted == "broken" else "finished"), name
        if wanted == "clean":
            assert (row.prompt_tokens, row.completion_tokens) == (7, 5), name
        else:
            assert row.usage_source == "counted", name
            assert row.completion_tokens == -(-len(SOUND.encode()) // 4), name
    assert len(CASES) >= 50
    assert not Hold.objects.filter(state=Hold.State.OPEN).exists()


def test_the_next_endpoint_answers_where_a_start_is_malformed(gateway: str, provider: Provider, alice: Buyer) -> None:
    """Nothing of a bad start is ever seen where somebody else can answer."""
    provider.scripts["good"] = says(EVENTS + WHOLE)
    refused = {name: script for name, (script, wanted) in CASES.items() if wanted == 502}
    models = {}
    for name, script in refused.items():
        models[name] = serve(provider, name, script)
        endpoint(provider.base_url, model_slug=models[name], upstream="good", provider="other")
    order = {"order": ["sim-one", "other"]}
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda model: post(gateway, alice, model, provider=order), models.values()))
    assert {outcome(answer) for answer in answers} == {"clean"}
    assert provider.calls.count("good") == len(refused)


PIECES = 12
MARKS = {"[DONE]", '"message_stop"', '"response.completed"', '"finishReason"'}


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_cut_at_every_piece_never_looks_like_an_end(
    gateway: str, simulate: Simulate, alice: Buyer, dialect: Dialect
) -> None:
    sim = simulate(tokens=PIECES)
    endpoint(sim.base_url)
    for place in range(PIECES):
        sim.order(f"cut:{place}")
        answer = post(gateway, alice, "acme/small", dialect)
        if place == 0:
            assert answer.status_code == 502
            continue
        assert answer.status_code == 200
        assert not [mark for mark in MARKS if mark in answer.text], place
        assert "The provider's answer broke off" in answer.text
        assert answer.text.count('"cost":') == 1
    assert Charge.objects.count() == PIECES - 1
    assert list(Generation.objects.values_list("status", flat=True)) == ["failed"] * PIECES


@pytest.mark.parametrize("dialect", [COMPLETIONS, RESPONSES, GEMINI, MESSAGES], ids=str)
def test_a_caller_that_goes_away_ends_the_providers_work(
    gateway: str, simulate: Simulate, alice: Buyer, dialect: Dialect
) -> None:
    sim = simulate(tokens=1_000, tps=50)
    endpoint(sim.base_url)
    body = dict(dialect.bodies["text"]) | ({"stream": True} if dialect is not GEMINI else {})
    path = dialect.path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    headers = {"authorization": f"Bearer {alice.key}"}
    with httpx.stream("POST", gateway + path, json=body, headers=headers, timeout=30) as answer:
        received = b""
        for piece in answer.iter_bytes():
            received += piece
            if b"simulated" in received:
                break
    until(lambda: Generation.objects.get().status == "canceled")
    assert Charge.objects.get().amount_nano > 0
    assert sim.simulator.received[0].outcome == "disconnected"


def test_a_reader_that_stops_reading_fills_no_memory(gateway: str, provider: Provider, alice: Buyer) -> None:
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        piece = event(delta("x" * 4_000)) * 16
        connection.sendall(EVENTS)
        for _ in range(1_500):  # near 100 MB
            connection.sendall(piece)
            sent += len(piece)

    model = serve(provider, "endless", endless)
    body = json.dumps(dict(CHAT.bodies["text"]) | {"model": model, "stream": True}).encode()
    head = f"POST {CHAT.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {alice.key}\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    port = int(gateway.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as reader:
        reader.sendall(head.encode() + body)
        assert reader.recv(10)
        before = -1
        while sent != before:  # until it has come to rest
            before = sent
            time.sleep(0.5)
        assert sent < 32 * 1024 * 1024
        # It holds back only itself.
        assert outcome(post(gateway, alice, serve(provider, "good", says(EVENTS + WHOLE)))) == "clean"
    until(lambda: not Generation.objects.filter(status="started").exists())


def until(condition: Callable[[], Any], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


SECRET = "simulated"  # what the factories seal as the provider's key
ECHO = says(
    b"HTTP/1.1 400 x\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    b'{"error": {"message": "Bad request with key simulated at field 3"}}'
)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_providers_words_never_carry_its_key(
    gateway: str, provider: Provider, alice: Buyer, dialect: Dialect
) -> None:
    answer = post(gateway, alice, serve(provider, "echo", ECHO), dialect)
    assert answer.status_code == 400
    assert "at field 3" in answer.text
    assert SECRET not in answer.text
    assert str(provider.port) not in answer.text


BOUNDS: list[tuple[Dialect, dict[str, Any], str]] = [
    (CHAT, {"messages": [{"role": "user", "content": "x"}] * 10_001}, "10000"),
    (CHAT, {"tools": [{"function": {"name": "f"}}] * 1_001}, "1000"),
    (CHAT, {"models": ["a/b"] * 51}, "50"),
    (CHAT, {"stop": ["x"] * 17}, "16"),
    (CHAT, {"session_id": "x" * 257}, "256"),
    (CHAT, {"provider": {"order": ["x"] * 101}}, "100"),
    (COMPLETIONS, {"logprobs": 21}, "20"),
    (RESPONSES, {"input": [{"role": "user", "content": "x"}] * 10_001}, "10000"),
    (RESPONSES, {"tools": [{"type": "function", "name": "f"}] * 1_001}, "1000"),
    (MESSAGES, {"messages": [{"role": "user", "content": "x"}] * 10_001}, "10000"),
    (MESSAGES, {"stop_sequences": ["x"] * 17}, "16"),
    (GEMINI, {"contents": [{"parts": [{"text": "x"}]}] * 10_001}, "10000"),
    (GEMINI, {"generationConfig": {"stopSequences": ["x"] * 17}}, "16"),
]


def test_every_bound_is_named_by_its_error(gateway: str, alice: Buyer) -> None:
    for dialect, fields, limit in BOUNDS:
        answer = post(gateway, alice, "acme/small", dialect, **fields)
        assert (answer.status_code, limit in answer.text) == (400, True), (dialect.name, fields.keys())
    for dialect in DIALECTS:
        huge = httpx.post(
            gateway + dialect.path,
            content=b" " * (21 * 1024 * 1024),
            headers={"authorization": f"Bearer {alice.key}"},
            timeout=20,
        )
        assert (huge.status_code, "bytes" in huge.text) == (413, True), dialect.name
