"""Capability probes: an endpoint shows what it claims before it takes anybody's request.

The probes are real requests through the endpoint's own adapter and the one sender, with its provider's key: the
provider pays for them. No prompt of a caller is in them.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.utils import timezone

from marketplace.lib import crypto
from marketplace.models import Endpoint
from marketplace.services import endpoints
from routing.adapters.base import Adapter, Target
from routing.adapters.registry import adapter_for, dialects_of, exchange_for
from routing.canonical import ChatRequest, Chunk, Image, Message, Text, ToolSpec, UpstreamError
from routing.operations import speech
from routing.operations.embeddings import EMBEDDINGS, EmbeddingsRequest
from routing.operations.images import IMAGES, ImagesRequest
from routing.operations.rerank import RERANK, Document, RerankRequest
from routing.operations.transcription import TRANSCRIPTION, TranscriptionRequest
from routing.services.speech import NO_SOUND
from routing.upstream import Sender

logger = structlog.get_logger(__name__)

AT_ONCE: Final = 5
CLAIMED_FOR: Final = dt.timedelta(minutes=15)  # a worker that dies while probing gives the endpoint back after this
MAX_TOKENS: Final = 512  # room for models that think before they answer
# A red square of 8 x 8 pixels.
PNG: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAA"
    "SUVORK5CYII="
)
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
# What an endpoint puts out -> what it is asked by; the first that fits.
OPERATIONS: Final = {
    "text": "chat",
    "embeddings": "embeddings",
    "rerank": "rerank",
    "image": "images",
    "speech": speech.NAME,
    "transcription": "transcription",
}
# A tenth of a second of silence: 8,000 samples a second, of 8 bits.
SILENCE: Final = struct.pack(
    "<4sI4s4sIHHIIHH4sI", b"RIFF", 836, b"WAVE", b"fmt ", 16, 1, 1, 8_000, 8_000, 1, 8, b"data", 800
) + bytes([128] * 800)
# The smallest request of each operation.
SMALL: Final[dict[str, Any]] = {
    "embeddings": EmbeddingsRequest(model="probe", inputs=((Text("ready"),),)),
    "rerank": RerankRequest(model="probe", query="fruit", documents=(Document("an apple"), Document("a stone"))),
    "images": ImagesRequest(model="probe", prompt="A red square."),
    "speech": speech.SpeechRequest(model="probe", text="Ready."),
    "transcription": TranscriptionRequest(
        model="probe", audio=SILENCE, filename="silence.wav", media_type="audio/wav", seconds=0.1
    ),
}
RULES: Final[dict[str, Any]] = {
    "embeddings": EMBEDDINGS,
    "rerank": RERANK,
    "images": IMAGES,
    "transcription": TRANSCRIPTION,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe showed; `detail` says what was wrong."""

    name: str
    passed: bool
    detail: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One question, and what is wrong with an answer to it (nothing: an empty text)."""

    name: str
    request: ChatRequest
    fault: Callable[[Chunk], str]


def run_due(*, now: dt.datetime | None = None) -> int:
    """Probe the endpoints whose time has come, of active providers; how many. Of several workers one does each."""
    now = now or timezone.now()
    due = Endpoint.objects.filter(probe_due_at__lte=now, provider__is_active=True).order_by("probe_due_at")[:AT_ONCE]
    done = 0
    for endpoint in due:
        claimed = Endpoint.objects.filter(pk=endpoint.pk, probe_due_at=endpoint.probe_due_at)
        if claimed.update(probe_due_at=now + CLAIMED_FOR):
            run(endpoint.pk)
            done += 1
    return done


def run(endpoint_id: int, *, sender: Sender | None = None) -> bool:
    """Probe one endpoint and show or hide it by the results; whether it passed. Blocks for the length of the probes."""
    endpoint = Endpoint.objects.select_related("model__publisher", "provider").get(pk=endpoint_id)
    results = _results(endpoint, sender or Sender())
    passed = endpoints.judge(
        endpoint_id,
        at=timezone.now(),
        results=[
            {"name": one.name, "passed": one.passed, "detail": one.detail, "milliseconds": one.milliseconds}
            for one in results
        ],
    )
    logger.info("endpoint_probed", endpoint=endpoint_id, passed=passed)
    return passed


def operation_of(endpoint: Endpoint) -> str | None:
    """The operation that the endpoint is probed by; None where there is no probe (a film is dear to ask for)."""
    outputs = _outputs(endpoint)
    return next((operation for kind, operation in OPERATIONS.items() if kind in outputs), None)


def probes_of(endpoint: Endpoint) -> list[Probe]:
    """What is asked of the endpoint: plain always, and what it claims. Its stream is asked for besides."""
    claims = {"parameters": endpoint.parameters, "input_modalities": endpoint.input_modalities} | endpoint.claim
    parameters = set(claims["parameters"])
    found = [Probe("plain", _ask("Say the word: ready"), _no_text)]
    if "tools" in parameters:
        tool = ToolSpec(name="weather", description="The weather of a city", parameters=SCHEMA)
        found.append(Probe("tools", _ask("What is the weather in Paris? Use the tool.", tools=(tool,)), _no_call))
    if parameters & {"structured_outputs", "response_format"}:
        schema = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
        is_strict = "structured_outputs" in parameters
        wanted: dict[str, Any] = schema if is_strict else {"type": "json_object"}
        fault = _not_of_schema if is_strict else _no_json
        question = 'Name the capital of France as a JSON object like {"city": "…"}.'
        found.append(Probe("json schema" if is_strict else "json", _ask(question, response_format=wanted), fault))
    if "image" in claims["input_modalities"]:
        shown = Message("user", (Text("Which colour is this?"), Image(PNG)))
        found.append(Probe("image", ChatRequest(model="probe", messages=(shown,)), _no_text))
    return found


def _results(endpoint: Endpoint, sender: Sender) -> list[Result]:
    dialect = endpoint.provider.dialect
    operation = operation_of(endpoint)
    if operation is None:
        kinds = ", ".join(_outputs(endpoint))
        return [Result("plain", False, f"There is no probe for {kinds} yet: staff list such models by a file.", 0)]
    if dialect not in dialects_of(operation):
        return [Result("plain", False, f"The dialect {dialect} is not spoken here for {operation}.", 0)]
    try:
        target = Target(endpoint.provider.base_url, endpoint.upstream, endpoint.provider.credentials())
    except crypto.WrongSecret:
        return [Result("plain", False, "The stored credentials do not open at this address: give them anew.", 0)]
    if operation == "chat":
        return asyncio.run(_run_all(probes_of(endpoint), adapter_for(dialect), target, sender))
    return [asyncio.run(_timed("plain", _perform(operation, dialect, target, sender)))]


def _outputs(endpoint: Endpoint) -> list[str]:
    return list((endpoint.claim or {}).get("output_modalities", endpoint.output_modalities))


async def _perform(operation: str, dialect: str, target: Target, sender: Sender) -> str:
    """One request of an operation that is no chat; what is wrong with its answer is raised as UpstreamError."""
    exchange = exchange_for(operation, dialect)
    request = exchange.build(SMALL[operation], target=target)
    if operation == speech.NAME:
        sound = await sender.open_download(request, adapter=exchange)
        await sound.close()
        return "The answer is no sound." if sound.content_type.startswith(NO_SOUND) else ""
    RULES[operation].check(SMALL[operation], await sender.send(request, adapter=exchange))
    return ""


async def _run_all(probes: list[Probe], adapter: Adapter, target: Target, sender: Sender) -> list[Result]:
    plain, *others = probes
    first = await _timed(plain.name, _plain(plain, adapter, target, sender))
    if not first.passed:
        return [first]  # what does not answer at all is not asked for more
    results = [first, await _timed("stream", _stream(plain, adapter, target, sender))]
    results += [await _timed(probe.name, _plain(probe, adapter, target, sender)) for probe in others]
    return results


async def _timed(name: str, fault: Any) -> Result:
    started = time.monotonic()
    try:
        detail = await fault
    except UpstreamError as error:
        detail = str(error)
    return Result(name, not detail, detail[:300], round((time.monotonic() - started) * 1000))


async def _plain(probe: Probe, adapter: Adapter, target: Target, sender: Sender) -> str:
    request = adapter.build(probe.request, target=target, stream=False, max_tokens=MAX_TOKENS)
    return probe.fault(await sender.send(request, adapter=adapter))


async def _stream(probe: Probe, adapter: Adapter, target: Target, sender: Sender) -> str:
    request = adapter.build(probe.request, target=target, stream=True, max_tokens=MAX_TOKENS)
    stream = await sender.open_stream(request, adapter=adapter)
    has_content = has_usage = False
    finish = None
    try:
        async for batch in stream.chunks():
            for chunk in batch:
                has_content |= chunk.has_content
                has_usage |= chunk.usage is not None
                finish = chunk.finish_reason or finish
    finally:
        await stream.close()
    if not has_content:
        return "The stream carries no content."
    if finish is None:
        return "The stream ends without saying why (finish_reason)."
    return "" if has_usage else "The stream does not tell its usage, which is what is charged by."


def _ask(text: str, **more: Any) -> ChatRequest:
    return ChatRequest(model="probe", messages=(Message("user", (Text(text),)),), **more)


def _no_text(answer: Chunk) -> str:
    if not (answer.text or answer.reasoning):
        return "The answer has no text."
    return "" if answer.usage is not None else "The answer does not tell its usage, which is what is charged by."


def _no_call(answer: Chunk) -> str:
    if not answer.tool_calls:
        return "The tool was not called."
    try:
        arguments = json.loads(answer.tool_calls[0].arguments or "null")
    except ValueError:
        return "The tool was called with arguments that are no JSON."
    return "" if isinstance(arguments, dict) else "The tool was called with arguments that are no object."


def _no_json(answer: Chunk) -> str:
    try:
        return "" if isinstance(json.loads(answer.text), dict) else "The answer is JSON and no object."
    except ValueError:
        return "The answer is no JSON."


def _not_of_schema(answer: Chunk) -> str:
    if fault := _no_json(answer):
        return fault
    said = json.loads(answer.text)
    fits = set(said) == {"city"} and isinstance(said["city"], str)
    return "" if fits else "The answer is JSON and does not follow the schema."
