"""The beginnings of a prompt, by which it is known where the same words were read before. Pure.

Providers cache what a prompt begins with: tools, then messages in their order. So the prompt is hashed from its begin,
and the hash is noted at fixed distances, each a quarter farther than the one before, and at the ends of messages: two
prompts that begin alike have their first notes in common, also where they are of different conversations.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from routing.canonical import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Video,
)

FIRST: Final = 1_024  # bytes, about 256 tokens: what is shorter is worth no note
FARTHER: Final = 1.25
ENDS_FIRST, ENDS_LAST = 2, 8  # messages whose ends are noted, from either side
DIGEST_BYTES: Final = 12
SECONDS: Final = 600.0
KEPT: Final = {"1h": 3_600.0, "24h": 86_400.0}  # longer ones that callers may ask for


@dataclass(frozen=True, slots=True)
class Prefixes:
    """`keys` name the beginnings, the shortest first, `shares` say how much of the prompt each of them is.

    `name` stands for a conversation that its caller named. A provider keeps them for `seconds` after their last use;
    `writes`: the caller marked what is to be cached, which some providers charge for.
    """

    keys: tuple[bytes, ...] = ()
    shares: tuple[float, ...] = ()
    name: bytes | None = None
    seconds: float = SECONDS
    writes: bool = False


UNSEEN: Final = Prefixes()


def prefixes_of(request: ChatRequest, *, secret: bytes, tenant: int, model: str) -> Prefixes:
    """What a tenant's prompt begins with: keyed, so that nobody else's words can be guessed at from it."""
    scope = f"{tenant}\0{model}\0".encode()
    said = blake2b(scope, key=secret[:64], digest_size=DIGEST_BYTES)
    pieces = [b"\x1e".join(_tool(tool) for tool in request.tools), *map(_message, request.messages)]
    keys, shares = _noted(said, pieces)
    marks = list(_marks_on(request))
    name = _name_of(request)
    return Prefixes(
        keys,
        shares,
        name=blake2b(scope + name, key=secret[:64], digest_size=DIGEST_BYTES).digest() if name else None,
        seconds=max([SECONDS, *(KEPT.get(str(mark.get("ttl")), 0.0) for mark in marks), _retention(request)]),
        writes=bool(marks),
    )


def distances(total: int) -> Iterator[int]:
    """The fixed distances from the begin, in bytes, up to so many."""
    at = FIRST
    while at <= total:
        yield at
        at = int(at * FARTHER)


def _noted(said: Any, pieces: list[bytes]) -> tuple[tuple[bytes, ...], tuple[float, ...]]:
    """(the hash at each place to note, the share of the whole that lies before it)."""
    ends: list[int] = []
    total = 0
    for piece in pieces:
        total += len(piece)
        ends.append(total)
    wanted = {*distances(total), *ends[:ENDS_FIRST], *ends[-ENDS_LAST:]}
    places = iter(sorted(one for one in wanted if one >= FIRST))
    keys, shares = [], []
    place = next(places, None)
    begin = 0
    for piece in pieces:
        view, done = memoryview(piece), 0
        while place is not None and place <= begin + len(piece):
            said.update(view[done : place - begin])
            done = place - begin
            keys.append(said.copy().digest())
            shares.append(place / total)
            place = next(places, None)
        said.update(view[done:])
        begin += len(piece)
    return tuple(keys), tuple(shares)


def _message(message: Message) -> bytes:
    words = b"\x1f".join(word for part in message.parts for word in _words(part))
    return b"\x1e" + message.role.encode(errors="replace") + b"\x1f" + words


def _words(part: Part) -> Iterator[bytes]:
    """What of a part the model reads; marks that ride on it, and thoughts, which not every client sends again, not."""
    match part:
        case Text(text) | Refusal(text):
            yield text.encode(errors="replace")
        case Image(url):
            yield b"image:" + url.encode(errors="replace")
        case Audio(data, _, url):
            yield b"audio:" + (data or url or "").encode(errors="replace")
        case Video(url, frames):
            yield b"video:" + "\0".join((url or "", *frames)).encode(errors="replace")
        case File(name, data, file_id, url):
            yield b"file:" + "\0".join((name or "", data or file_id or url or "")).encode(errors="replace")
        case ToolCall(_, name, arguments):
            yield b"call:" + f"{name}\0{arguments}".encode(errors="replace")
        case ToolResult(_, parts):
            yield b"result:"
            for inner in parts:
                yield from _words(inner)


def _tool(tool: ToolSpec) -> bytes:
    return repr((tool.name, tool.description, tool.parameters)).encode(errors="replace")


def _name_of(request: ChatRequest) -> bytes | None:
    if request.session_id:
        return b"s:" + request.session_id.encode(errors="replace")
    cache_key = request.parameters.get("prompt_cache_key")
    return b"k:" + cache_key.encode(errors="replace") if isinstance(cache_key, str) and cache_key else None


def _marks_on(request: ChatRequest) -> Iterable[dict[str, Any]]:
    """The marks of what is to be cached, on the request, its tools and the parts of its messages."""
    carriers = [request.parameters, *(tool.extra for tool in request.tools)]
    for message in request.messages:
        for part in message.parts:
            carriers.append(getattr(part, "extra", {}))
            carriers += [inner.extra for inner in part.parts] if isinstance(part, ToolResult) else []
    return [mark for one in carriers if isinstance(mark := one.get("cache_control"), dict)]


def _retention(request: ChatRequest) -> float:
    options = request.parameters.get("prompt_cache_options")
    return KEPT.get(str(options.get("ttl")), 0.0) if isinstance(options, dict) else 0.0
