"""Speech and transcription between callers and providers: forms, dialects, lengths, what is charged."""

from __future__ import annotations

import base64
import io
import wave
from email import message_from_bytes
from typing import Any

import orjson
import pytest

from marketplace.lib.errors import InvalidRequest, PayloadTooLarge
from routing.adapters.base import HttpRequest, Target
from routing.adapters.registry import EXCHANGES, exchange_for
from routing.canonical import UpstreamError, Usage
from routing.ingress import speech as speech_ingress
from routing.ingress import transcription as ingress
from routing.ingress.openai_chat_answers import Bill
from routing.ingress.sound import seconds_of
from routing.operations import speech
from routing.operations.transcription import TRANSCRIPTION, Segment, Transcript, TranscriptionRequest

TARGET = Target("https://up.example/v1", "whisper-1", {"api_key": "secret"})
SAID = Transcript("Hello there.", "english", 3.25, [Segment(0.0, 1.5, " Hello there.", {"avg_logprob": -0.1})])
BILL = Bill(Usage(), 1_000, 1_000, 0)


def sound(seconds: float) -> bytes:
    """A WAV file of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8_000, 0, "NONE", ""))
        out.writeframes(b"\0\0" * int(8_000 * seconds))
    return file.getvalue()


def read(audio: bytes | None = None, **fields: Any) -> TranscriptionRequest:
    data = base64.b64encode(sound(2.5) if audio is None else audio).decode()
    return ingress.parse(orjson.dumps({"model": "m", "input_audio": {"data": data, "format": "wav"}} | fields))


def form(name: str = "a.wav", **fields: str) -> TranscriptionRequest:
    given = {field: [value] for field, value in ({"model": "m"} | fields).items()}
    return ingress.parse_form(given, name=name, audio=sound(2.5))


def test_both_ways_to_send_sound_give_the_same_request() -> None:
    assert form("audio.wav", language="en", temperature="0.5") == read(language="en", temperature=0.5)
    assert (read().seconds, read().media_type) == (2.5, "audio/wav")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input_audio": None}, "input_audio"),
        ({"input_audio": {"data": "AAAA", "format": "exe"}}, "input_audio.format"),
        ({"input_audio": {"data": "?", "format": "wav"}}, "base64"),
        ({"response_format": "xml"}, "response_format"),
        ({"timestamp_granularities": ["line"]}, "timestamp_granularities"),
        ({"temperature": 2}, "temperature"),
        ({"stream": True}, "'stream' cannot be true"),
    ],
)
def test_what_is_malformed_in_json_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(**fields)


def test_what_is_malformed_in_a_form_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'stream' cannot be true"):
        ingress.parse_form({"model": ["m"], "stream": ["true"]}, name="a.wav", audio=b"x")
    with pytest.raises(InvalidRequest, match="'file'"):
        ingress.parse_form({"model": ["m"]}, name="", audio=None)
    with pytest.raises(InvalidRequest, match="ending"):
        form("notes.txt")
    with pytest.raises(InvalidRequest, match="temperature"):
        form(temperature="warm")


def test_too_much_sound_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress, "MAX_AUDIO", 1_000)
    with pytest.raises(PayloadTooLarge, match="1,000 bytes"):
        read()


@pytest.mark.parametrize("audio", [b"", b"RIFF", b"\xff\xfb" * 50, b"OggS" + b"\0" * 40, b"fLaC\0", sound(1)[:30]])
def test_broken_sound_has_no_length_and_breaks_nothing(audio: bytes) -> None:
    assert seconds_of(audio) is None


def test_every_second_that_is_begun_is_reserved_and_charged() -> None:
    need = TRANSCRIPTION.need(read())
    assert (need.units["audio_second"], need.inputs, need.outputs) == (
        3,
        frozenset({"audio"}),
        frozenset({"transcription"}),
    )
    assert TRANSCRIPTION.used(read(), Transcript("x", seconds=4.1)).units == {"audio_second": 5}
    assert TRANSCRIPTION.used(read(), Transcript("x")).units == {"audio_second": 3}
    unknown = read(b"\0" * 16_000)
    assert TRANSCRIPTION.need(unknown).units["audio_second"] == 16
    assert TRANSCRIPTION.used(unknown, Transcript("x")).units == {"audio_second": 2}


def parts_of(request: HttpRequest) -> dict[str, bytes]:
    """The fields of a form by their names."""
    head = dict(request.headers)["content-type"]
    message: Any = message_from_bytes(f"content-type: {head}\r\n\r\n".encode() + request.body)
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in message.get_payload()
    }


def sent(kind: str, request: TranscriptionRequest) -> dict[str, bytes]:
    return parts_of(exchange_for("transcription", kind).build(request, target=TARGET))


def test_the_form_that_providers_get() -> None:
    timed = read(response_format="srt", language="de", prompt="Names: Ute.", temperature=0)
    found = sent("openai_chat", timed)
    assert found.pop("file").startswith(b"RIFF")
    assert found == {
        "model": b"whisper-1", "response_format": b"verbose_json", "language": b"de", "prompt": b"Names: Ute.",
        "temperature": b"0", "timestamp_granularities[]": b"segment",
    }  # fmt: skip
    assert set(sent("mistral", timed)) == {"model", "language", "temperature", "timestamp_granularities[]", "file"}
    assert set(sent("groq", read())) == {"model", "response_format", "file"}


def test_a_file_name_cannot_break_the_form() -> None:
    evil = form('a"\r\nx: y\r\n\r\n.wav')
    assert set(sent("groq", evil)) == {"model", "response_format", "file"}


def test_answers_are_read() -> None:
    row = {"start": 0, "end": "1.5", "text": " Hello there.", "avg_logprob": -0.1}
    verbose = {"text": "Hello there.", "language": "english", "duration": "3.25", "segments": [row]}
    answer = exchange_for("transcription", "groq").parse_answer
    assert answer(orjson.dumps(verbose)) == SAID
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 3}
    assert answer(orjson.dumps({"text": "a", "usage": tokens})).usage == Usage(14, 3)
    assert answer(orjson.dumps({"text": "a", "usage": {"type": "duration", "seconds": 9}})).seconds == 9
    for bad in (b"Hello", b"{}", b'{"text": "a", "segments": [{"start": "soon", "end": 1}]}'):
        with pytest.raises(UpstreamError):
            answer(bad)


def test_times_that_did_not_come_are_asked_of_another_endpoint() -> None:
    with pytest.raises(UpstreamError):
        TRANSCRIPTION.check(read(response_format="vtt"), Transcript("words"))
    TRANSCRIPTION.check(read(response_format="vtt"), Transcript(""))
    TRANSCRIPTION.check(read(), Transcript("words"))


def test_the_five_forms_of_an_answer() -> None:
    def written(form: str) -> str:
        return ingress.write(SAID, form=form, seconds=4, bill=BILL)[0].decode()

    assert written("text") == "Hello there.\n"
    assert written("srt") == "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n"
    assert written("vtt") == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n"
    usage = {"type": "duration", "seconds": 4, "cost": 0.000001}
    assert orjson.loads(written("json")) == {"text": "Hello there.", "usage": usage}
    segment = {"id": 0, "start": 0.0, "end": 1.5, "text": " Hello there.", "avg_logprob": -0.1}
    assert orjson.loads(written("verbose_json")) == {
        "text": "Hello there.", "task": "transcribe", "language": "english", "duration": 3.25, "segments": [segment],
        "usage": usage,
    }  # fmt: skip


def test_clocks_go_beyond_an_hour() -> None:
    late = Transcript("x", segments=[Segment(3_661.0, 36_000.0005, "x", {})])
    assert b"01:01:01,000 --> 10:00:00,000" in ingress.write(late, form="srt", seconds=1, bill=BILL)[0]


SPOKEN = {"model": "m", "input": "Grüße"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input": ""}, "input"),
        ({"input": "a" * 50_001}, "50000"),
        ({"response_format": "midi"}, "response_format"),
        ({"speed": 9}, "speed"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"input_references": [{}]}, "clones"),
    ],
)
def test_what_is_malformed_in_speech_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        speech_ingress.parse(orjson.dumps(SPOKEN | fields))


def test_speech_is_charged_by_the_character() -> None:
    asked = speech_ingress.parse(orjson.dumps(SPOKEN))
    need, used = speech.need(asked), speech.used(asked)
    assert (need.units, used.units, need.input_bound) == ({"character": 5}, {"character": 5}, 7)
    assert need.outputs == {"speech"}


def test_speech_in_each_dialect() -> None:
    asked = speech_ingress.parse(orjson.dumps(SPOKEN | {"speed": 1.5, "instructions": "slowly"}))

    def body(kind: str) -> Any:
        return orjson.loads(exchange_for("speech", kind).build(asked, target=TARGET).body)

    shared = {"model": "whisper-1", "input": "Grüße", "response_format": "pcm", "speed": 1.5}
    assert body("openai_chat") == shared | {"voice": "alloy", "instructions": "slowly"}
    for kind in EXCHANGES["speech"].keys() - {"openai_chat"}:
        assert body(kind) == shared
