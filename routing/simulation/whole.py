"""What a simulated provider answers in one piece, beside chats: made-up vectors and the like, with faults."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from routing.simulation.exchange import JSON, Cut, Headers, refusal_of
from routing.simulation.faults import Fault

DIMENSIONS: Final = 8
FILMS: Final = "/v1/videos/"
BYTES_PER_TOKEN: Final = 4
BODY_SHOWN: Final = 65_536
Made = tuple[Headers, bytes]


class BadRequest(Exception):
    """The request is not what the path wants."""


@dataclass(slots=True)
class Whole:
    """One request and its answer; `sent` counts the pieces that went out."""

    body: bytes
    path: str
    fault: Fault
    ttft: float
    send: Callable[[dict[str, Any]], Awaitable[None]]
    looks: Counter[str] = field(default_factory=Counter)  # how often each film was asked after
    sent: int = 0

    async def run(self) -> None:
        """Answer. Raises Cut where the fault says so."""
        if self.fault.kind == "hang":
            await asyncio.Event().wait()
        await asyncio.sleep(self.ttft + (self.fault.number if self.fault.kind == "slow" else 0))
        refusal = refusal_of(self.fault)
        if refusal is None:
            try:
                refusal = (200, *self._made())
            except (BadRequest, ValueError, KeyError, TypeError) as error:
                refusal = (400, JSON, json.dumps({"error": {"message": str(error)}}).encode())
        await self._answer(*refusal)

    def _made(self) -> Made:
        if self.path.startswith(FILMS):
            return _film(self.path.removeprefix(FILMS), self.looks)
        return PATHS[self.path](self.body, self.fault)

    async def _answer(self, status: int, headers: Headers, content: bytes) -> None:
        match self.fault.kind:
            case "malformed":
                content = b'{"half of'
            case "empty":
                content = b"{}" if headers is JSON else b""
            case "clip":
                content = content[: len(content) // 2]
            case "error":
                content, headers = b'{"error": {"message": "Simulated failure.", "code": 500}}', JSON
        length = (b"content-length", str(len(content)).encode())
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        if self.fault.kind in {"cut", "stall"}:
            await self._more(content[: len(content) // 2])
            if self.fault.kind == "stall":
                await asyncio.Event().wait()
            raise Cut
        await self._more(content, last=True)

    async def _more(self, content: bytes, *, last: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": not last})
        self.sent += 1


def shown(body: bytes) -> Any:
    """The body as GET /_requests shows it."""
    if len(body) > BODY_SHOWN:
        return "too long to show"
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("latin-1")


def vector(text: str, length: int) -> list[float]:
    """A direction made up from a text: the same for the same text."""
    digest = hashlib.sha256(text.encode()).digest()
    return [(digest[place % 32] - 128) / 128 for place in range(length)]


def tokens_of(text: str) -> int:
    """What a simulated provider takes a text for."""
    return max(1, len(text.encode()) // BYTES_PER_TOKEN)


def _json(data: Mapping[str, Any]) -> Made:
    return JSON, json.dumps(data).encode()


def _embeddings(body: bytes, fault: Fault) -> Made:
    asked = json.loads(body)
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    texts = [one if isinstance(one, str) else json.dumps(one) for one in inputs]
    length = asked.get("dimensions") or asked.get("output_dimension") or DIMENSIONS
    rows = [
        {"object": "embedding", "index": place, "embedding": vector(text, length)} for place, text in enumerate(texts)
    ]
    tokens = sum(map(tokens_of, texts))
    usage = {} if fault.kind == "nousage" else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return _json({"object": "list", "model": asked["model"], "data": rows, **usage})


def _cohere_embeddings(body: bytes, fault: Fault) -> Made:
    asked = json.loads(body)
    texts = ["\n".join(part.get("text", "an image") for part in one["content"]) for one in asked["inputs"]]
    rows = [vector(text, asked.get("output_dimension") or DIMENSIONS) for text in texts]
    meta = {} if fault.kind == "nousage" else {"meta": {"billed_units": {"input_tokens": sum(map(tokens_of, texts))}}}
    return _json({"id": "simulated", "embeddings": {"float": rows}, **meta})


def _ranked(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Documents by how many of the query's words they hold."""
    words = set(asked["query"].lower().split())
    scores = [len(words & set(one.lower().split())) / max(1, len(words)) for one in asked["documents"]]
    rows = [{"index": place, "relevance_score": score} for place, score in enumerate(scores)]
    return sorted(rows, key=lambda row: -row["relevance_score"])[: asked["top_n"]]


def _rerank(body: bytes, fault: Fault) -> Made:
    asked = json.loads(body)
    tokens = sum(tokens_of(asked["query"] + one) for one in asked["documents"])
    usage = {} if fault.kind == "nousage" else {"usage": {"total_tokens": tokens}}
    return _json({"model": asked["model"], "results": _ranked(asked), **usage})


def _cohere_rerank(body: bytes, fault: Fault) -> Made:
    meta = {} if fault.kind == "nousage" else {"meta": {"billed_units": {"search_units": 1}}}
    return _json({"id": "simulated", "results": _ranked(json.loads(body)), **meta})


def _speech(body: bytes, fault: Fault) -> Made:
    """Silence as long as the text, whatever format is asked for: 16-bit samples, 100 for each character."""
    asked = json.loads(body)
    return [(b"content-type", b"audio/wav")], b"\0\1" * 100 * len(asked["input"])


def _transcript(body: bytes, fault: Fault) -> Made:
    """What was said is made up from the size of the form; its length is four seconds."""
    said = f"Simulated words from a form of {len(body)} bytes."
    data: dict[str, Any] = {"text": said}
    if b"verbose_json" in body:
        data |= {"task": "transcribe", "language": "english", "duration": 3.5}
        data["segments"] = [{"id": 0, "start": 0.0, "end": 1.5, "text": said, "avg_logprob": -0.1}]
    elif fault.kind != "nousage":
        data["usage"] = {"type": "duration", "seconds": 4}
    return _json(data)


# One pixel.
PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def _images(body: bytes, fault: Fault) -> Made:
    asked = json.loads(body)
    made = [{"b64_json": PNG, "revised_prompt": f"Simulated: {asked['prompt']}"}] * asked.get("n", 1)
    tokens = {"input_tokens": tokens_of(asked["prompt"]), "output_tokens": 1_056 * len(made)}
    return _json({"created": 1_790_000_000, "data": made} | ({} if fault.kind == "nousage" else {"usage": tokens}))


def _begin_film(body: bytes, fault: Fault) -> Made:
    asked = json.loads(body)
    word = "fail" if "fail" in asked["prompt"] else "film"
    digest = hashlib.sha256(body).hexdigest()[:12]
    return _json({"id": f"{word}-{digest}", "object": "video", "status": "queued", "seconds": asked["seconds"]})


def _film(rest: str, looks: Counter[str]) -> Made:
    """How a film stands: worked on when first asked after, then made; or the film, of a few bytes that are none."""
    film_id, _, content = rest.partition("/")
    if content:
        return [(b"content-type", b"video/mp4")], b"\0\0\0\x18ftypmp42simulated"
    looks[film_id] += 1
    told: dict[str, Any] = {"id": film_id, "object": "video", "status": "in_progress"}
    if film_id.startswith("fail"):
        told |= {"status": "failed", "error": {"message": "Simulated failure."}}
    elif looks[film_id] > 1:
        told["status"] = "completed"
    return _json(told)


PATHS: Final[Mapping[str, Callable[[bytes, Fault], Made]]] = {
    "/v1/embeddings": _embeddings,
    "/v2/embed": _cohere_embeddings,
    "/v1/rerank": _rerank,
    "/v2/rerank": _cohere_rerank,
    "/v1/audio/speech": _speech,
    "/v1/videos": _begin_film,
    "/v1/images/generations": _images,
    "/v1/audio/transcriptions": _transcript,
}
