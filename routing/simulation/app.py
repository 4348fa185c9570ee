"""A simulated provider: a small ASGI application that speaks one family of dialects, with faults on order.

The dialect's chats, what simulation.whole answers, GET /v1/models, GET /healthz; and for tests:
POST /_faults orders faults, POST /_settings changes the pace, GET and DELETE /_requests show and forget
what was received.
"""

import asyncio
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from routing.simulation.answers import answer, prompt_of
from routing.simulation.dialects import DIALECTS
from routing.simulation.exchange import Exchange, Headers, NotAsked
from routing.simulation.faults import Fault, Rates, Script, UnknownFault
from routing.simulation.memory import PromptCache
from routing.simulation.quota import Quota
from routing.simulation.whole import FILMS, PATHS, Whole, shown

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NO_HEADERS: Final[Headers] = []
REMEMBERED: Final = 5_000
BODY_SHOWN: Final = 65_536
KEY_HEADERS: Final = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key", "x-amz-security-token"})


@dataclass(frozen=True, slots=True)
class Pace:
    """How it answers: seconds to the first token, tokens a second, tokens of an answer."""

    ttft: float = 0.0
    tps: float = 0.0  # 0: at once
    tokens: int = 40


@dataclass(slots=True)
class Received:
    """One request as GET /_requests shows it."""

    path: str
    headers: Mapping[str, str]
    body: Any
    fault: str
    outcome: str = "open"  # then: done, failed, disconnected
    pieces: int = 0


@dataclass
class Simulator:
    """The application's state; `application` is what the server calls."""

    name: str
    pace: Pace = field(default_factory=Pace)
    rates: Rates = field(default_factory=Rates)
    seed: int = 0
    api_key: str = ""
    models: tuple[str, ...] = ("simulated",)
    dialect: str = "openai_chat"
    per_minute: int = 0  # requests; 0: no limit
    cache_from: int = 0  # tokens of a prompt from which on it is cached; 0: never

    def __post_init__(self) -> None:
        self.quota = Quota(self.per_minute)
        self.memory = PromptCache(least=self.cache_from)
        self.script = Script(rates=self.rates, seed=self.seed)
        self.received: deque[Received] = deque(maxlen=REMEMBERED)
        self.ids = itertools.count(1)
        self.exchange = DIALECTS[self.dialect]
        self.looks: Counter[str] = Counter()

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request (or the server's lifespan)."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body = await _body(receive)
        match (scope["method"], scope["path"]):
            case ("GET", "/healthz"):
                await _json(send, 200, {"status": "ok", "name": self.name, "simulated": True})
            case ("POST", "/_faults"):
                await self._order(body, send)
            case ("POST", "/_settings"):
                self.pace = replace(self.pace, **json.loads(body))
                await _json(send, 200, asdict(self.pace))
            case ("GET", "/_requests"):
                await _json(send, 200, [asdict(one) for one in self.received])
            case ("DELETE", "/_requests"):
                self.received.clear()
                await _json(send, 200, {})
            case ("GET", "/v1/models"):
                entries = [{"id": model, "object": "model", "owned_by": self.name} for model in self.models]
                await _json(send, 200, {"object": "list", "data": entries})
            case ("POST", path) if self.exchange.serves(path):
                await self._chat(scope, body, receive, send)
            case ("POST", path) if path in PATHS:
                await self._whole(scope, body, receive, send)
            case ("GET", path) if path.startswith(FILMS):
                await self._whole(scope, body, receive, send)
            case _:
                await _json(send, 404, _error("There is nothing here.", "not_found"))

    async def _order(self, body: bytes, send: Send) -> None:
        try:
            wanted = json.loads(body)
            self.script.order(wanted["script"], always=bool(wanted.get("always")))
        except (UnknownFault, ValueError, KeyError, TypeError) as error:
            await _json(send, 400, _error(str(error), "invalid_request_error"))
            return
        await _json(send, 200, {})

    async def _whole(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        fault = self.script.next()
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        headers.pop("authorization", None)
        one = Received(scope["path"], headers, shown(body), fault.kind)
        self.received.append(one)
        path = scope["path"]
        exchange = Whole(body=body, path=path, fault=fault, ttft=self.pace.ttft, send=send, looks=self.looks)
        await _until_disconnect(exchange, one, receive)

    async def _chat(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        shown = {name: "given" if name in KEY_HEADERS else value for name, value in headers.items()}
        try:
            given = json.loads(body)
        except ValueError:
            given = None
        fault = self.script.next()
        if not self.quota.take():
            fault = Fault("429", self.quota.retry_after)
        send = _saying(self.quota.headers(self.dialect), send)
        one = Received(scope["path"], shown, given if len(body) <= BODY_SHOWN else "too long to show", fault.kind)
        self.received.append(one)
        if self.api_key and self.api_key not in {headers.get(name, "").removeprefix("Bearer ") for name in KEY_HEADERS}:
            one.outcome = "failed"
            await self._refuse(send, 401, "Incorrect API key provided.")
            return
        try:
            asked = self.exchange.read(scope["path"], given)
        except (NotAsked, LookupError, TypeError, AttributeError, ValueError) as error:
            one.outcome = "failed"
            await self._refuse(send, 400, str(error))
            return
        said = answer(asked.chat, name=self.name, length=self.pace.tokens)
        cached = self.memory.read(prompt_of(asked.chat), tokens=said.prompt_tokens, now=time.monotonic())
        said = replace(said, cached_tokens=cached)
        if fault.kind == "badtool" and said.tool is not None:
            said = replace(said, pieces=("{'not': json", *said.pieces[1:]))
        exchange = self.exchange(
            id=f"chatcmpl-sim{next(self.ids)}",
            asked=asked,
            answer=said,
            fault=fault,
            ttft=self.pace.ttft,
            tps=self.pace.tps,
            send=send,
        )
        await _until_disconnect(exchange, one, receive)

    async def _refuse(self, send: Send, status: int, why: str) -> None:
        further, shape = self.exchange.refusal(status, why)
        await _json(send, status, shape, further)


def _saying(further: Headers, send: Send) -> Send:
    """The same, with these headers before every answer."""

    async def saying(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *further]}
        await send(message)

    return saying if further else send


async def _until_disconnect(exchange: Exchange | Whole, one: Received, receive: Receive) -> None:
    """Answer until done or until the client goes away, and note which it was."""
    work = asyncio.ensure_future(exchange.run())
    watch = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            one.outcome = "disconnected"
            return
        one.outcome = "failed" if work.exception() else "done"
        work.result()
    finally:
        one.pieces = exchange.sent
        for task in (work, watch):
            task.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


async def _json(send: Send, status: int, data: Any, further: Headers = NO_HEADERS) -> None:
    headers = [(b"content-type", b"application/json"), *further]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(data).encode()})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
