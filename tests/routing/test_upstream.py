"""The sender over real sockets: every fault becomes an UpstreamError, no address slips by."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from marketplace.lib import addresses
from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import Chunk, UpstreamError
from routing.ingress import openai_chat
from routing.simulation.app import Pace, Simulator
from routing.simulation.server import running
from routing.upstream import Deadlines, Sender, Stream
from tests.marketplace.lib.test_addresses import NEVER, PRIVATE

# Names are resolved on the pool, whose threads look after the connections that earlier tests left in them.
pytestmark = pytest.mark.django_db

ADAPTER = adapter_for("openai_chat")
# A busy machine is no fault of the provider's: only what is to run out of time has little of it.
PATIENT = Deadlines(connect=10, first_chunk=30, answer=30, idle=30, plain_bytes=1_000_000, stream_bytes=1_000_000)
HASTY = dataclasses.replace(PATIENT, first_chunk=0.5, answer=0.5, idle=0.5)
BODY = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello there"}]})


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(name="sim", pace=Pace(tokens=10))


@pytest.fixture
def port(simulator: Simulator, settings: Any) -> Iterator[int]:
    with running(simulator) as port:
        settings.PRIVATE_ORIGINS = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        yield port


@pytest.fixture
def sender() -> Sender:
    return Sender(limits=PATIENT)


def sender_for(fault: str) -> Sender:
    """One that gives up soon where the fault is silence."""
    return Sender(limits=HASTY if fault.startswith(("hang", "stall")) else PATIENT)


def request_to(url: str, *, stream: bool) -> Any:
    target = Target(url, "m", {"api_key": "k"})
    return ADAPTER.build(openai_chat.parse(BODY), target=target, stream=stream, max_tokens=None)


async def ask(sender: Sender, url: str, *, stream: bool) -> list[Chunk]:
    request = request_to(url, stream=stream)
    if not stream:
        return [await sender.send(request, adapter=ADAPTER)]
    opened = await sender.open_stream(request, adapter=ADAPTER)
    try:
        return [chunk async for batch in opened.chunks() for chunk in batch]
    finally:
        await opened.close()


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_it_sends_and_reads(sender: Sender, port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1"
    plain, streamed = await ask(sender, url, stream=False), await ask(sender, url, stream=True)
    assert text(plain) == text(streamed) != ""
    assert plain[0].usage == streamed[-1].usage
    assert plain[0].usage is not None


FAULTS = [
    ("500", "unavailable", True),
    ("503", "unavailable", True),
    ("429:7", "rate_limited", True),
    ("400", "invalid", False),
    ("401", "auth", True),
    ("404", "not_found", True),
    ("hang", "timeout", True),
    ("malformed", "malformed", True),
    ("empty", "malformed", True),
    ("html", "malformed", True),
    ("redirect", "unavailable", True),
    ("error:0", "unavailable", True),
    ("cut:0", "cut", True),
    ("flood", "malformed", True),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "kind", "retryable"), FAULTS)
async def test_each_fault_is_understood(
    simulator: Simulator, port: int, fault: str, kind: str, retryable: bool, stream: bool
) -> None:
    simulator.script.order([fault])
    started = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        await ask(sender_for(fault), f"http://127.0.0.1:{port}/v1", stream=stream)
    error = caught.value
    assert error.retryable is retryable
    if fault in ("html", "flood", "empty") and stream:
        assert error.kind in ("cut", "malformed")
    else:
        assert error.kind == kind
    assert error.retry_after == (7 if fault.startswith("429") else None)
    assert time.monotonic() - started < 15  # hanging faults hang for good
    assert len(simulator.received) == 1


async def opened(sender: Sender, port: int) -> Stream:
    return await sender.open_stream(request_to(f"http://127.0.0.1:{port}/v1", stream=True), adapter=ADAPTER)


@pytest.mark.parametrize(
    ("fault", "kind"), [("cut:4", "cut"), ("clip:4", "cut"), ("stall:4", "timeout"), ("error:4", "unavailable")]
)
async def test_a_break_after_the_first_piece_comes_after_what_was_sent(
    simulator: Simulator, port: int, fault: str, kind: str
) -> None:
    simulator.script.order([fault])
    stream = await opened(sender_for(fault), port)
    got: list[Chunk] = []

    async def drain() -> None:
        async for batch in stream.chunks():
            got.extend(batch)

    with pytest.raises(UpstreamError) as caught:
        await drain()
    await stream.close()
    assert caught.value.kind == kind
    assert len([chunk for chunk in got if chunk.text]) in range(5)


async def test_closing_early_cancels_the_providers_work(sender: Sender, simulator: Simulator, port: int) -> None:
    simulator.pace = Pace(tokens=1_000, tps=50)
    stream = await opened(sender, port)
    await stream.close()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if simulator.received[0].outcome == "disconnected":
            break
    assert simulator.received[0].outcome == "disconnected"
    assert simulator.received[0].pieces < 200


@pytest.mark.parametrize("gone", ["reset", "closed"])
async def test_a_kept_connection_that_went_away_is_replaced_once(sender: Sender, settings: Any, gone: str) -> None:
    """Providers close idle connections; a request that takes one at that moment is nobody's fault."""
    answer = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))
        if connections == 1:
            await _request(reader)  # taken from the pool for a second request, and left without an answer
            if gone == "reset":
                writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings.PRIVATE_ORIGINS = frozenset({f"127.0.0.1:{port}"})
        for _ in range(2):
            assert text(await ask(sender, f"http://127.0.0.1:{port}/v1", stream=False)) == "Hi"
    assert connections == 2


async def _request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))


async def test_a_closed_port_is_unreachable(sender: Sender, settings: Any) -> None:
    settings.PRIVATE_ORIGINS = frozenset({"127.0.0.1:9"})
    with pytest.raises(UpstreamError, match="could not be reached") as caught:
        await ask(sender, "http://127.0.0.1:9/v1", stream=False)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9999/v1",
        "http://localhost/v1",
        "https://10.0.0.1/v1",
        "http://169.254.169.254/latest",
        "https://[::1]/v1",
        "http://2130706433/v1",
        "ftp://127.0.0.1/v1",
    ],
)
async def test_an_address_that_is_not_listed_is_never_called(sender: Sender, port: int, url: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        await ask(sender, url, stream=False)
    assert caught.value.kind == "refused_address"


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
async def test_a_name_that_means_a_forbidden_address_is_never_called(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    sender = Sender()  # with the product's own patience
    monkeypatch.setattr(addresses, "resolve", lambda host, port: ("93.184.216.34", address))
    monkeypatch.setattr(sender, "_build", lambda *pinned: pytest.fail(f"{pinned} was to be called"))
    with pytest.raises(UpstreamError) as caught:
        await ask(sender, "https://provider.example.test/v1", stream=False)
    assert caught.value.kind == "refused_address"


async def test_plain_http_is_for_listed_origins_only(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "resolve", lambda host, port: ("93.184.216.34",))
    with pytest.raises(UpstreamError, match="http"):
        await ask(sender, "http://provider.example.test/v1", stream=False)


async def test_the_client_connects_to_the_address_that_was_checked(
    port: int, simulator: Simulator, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PRIVATE_ORIGINS = frozenset({f"provider.example.test:{port}"})
    answers = [("127.0.0.1",), ("169.254.169.254",)]
    monkeypatch.setattr(addresses, "resolve", lambda host, wanted: answers.pop(0))
    sender = Sender(limits=PATIENT, pin_seconds=0.2)
    url = f"http://provider.example.test:{port}/v1"
    assert text(await ask(sender, url, stream=False))
    assert text(await ask(sender, url, stream=False))  # still pinned: nobody resolved again
    assert len(answers) == 1
    await asyncio.sleep(0.25)
    with pytest.raises(UpstreamError, match="link-local"):
        await ask(sender, url, stream=False)


async def test_an_address_that_cannot_be_connected_to_is_left_for_the_next_that_was_checked(
    port: int, simulator: Simulator, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PRIVATE_ORIGINS = frozenset({f"provider.example.test:{port}"})
    answers = [("127.0.0.2",), ("127.0.0.2", "127.0.0.3", "127.0.0.1")]  # the simulator listens on the last alone
    monkeypatch.setattr(addresses, "resolve", lambda host, wanted: answers.pop(0))
    sender = Sender(limits=PATIENT)
    url = f"http://provider.example.test:{port}/v1"
    with pytest.raises(UpstreamError) as caught:
        await ask(sender, url, stream=False)
    assert caught.value.kind == "unavailable"
    assert all([text(await ask(sender, url, stream=False)) for _ in range(2)])  # looked up anew, and then kept
    assert (answers, len(simulator.received)) == ([], 2)


async def test_a_proxy_in_the_environment_is_not_used(
    sender: Sender, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert text(await ask(sender, f"http://127.0.0.1:{port}/v1", stream=False))


async def test_many_at_once_share_the_clients(sender: Sender, simulator: Simulator, port: int) -> None:
    simulator.pace = Pace(tokens=5, ttft=0.1)
    url = f"http://127.0.0.1:{port}/v1"
    answers = await asyncio.gather(*(ask(sender, url, stream=i % 2 == 0) for i in range(100)))
    assert len({text(answer) for answer in answers}) == 1
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").json()["simulated"]
