"""Speech and transcription over a real socket: the official client, failover, money, mistakes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from billing.models import Charge, Hold
from routing.models import Generation
from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated
from tests.routing.operations.test_audio import sound

Simulate = Callable[..., Simulated]


def voice(base_url: str, **fields: Any) -> None:
    given = {"model_slug": "acme/voice", "output_modalities": ["speech"], "per_unit": {"character": "0.000015"}}
    endpoint(base_url, **(given | fields))


def ear(base_url: str, **fields: Any) -> None:
    given = {
        "model_slug": "acme/ear",
        "input_modalities": ["audio"],
        "output_modalities": ["transcription"],
        "per_unit": {"audio_second": "0.0001"},
    }
    endpoint(base_url, **(given | fields))


@pytest.fixture
def client(gateway: str, alice: Buyer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway}/api/v1", api_key=alice.key, max_retries=0) as made:
        yield made


def post(gateway: str, who: Buyer, path: str, **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}"}
    return httpx.post(gateway + path, json=fields, headers=headers, timeout=30)


def test_the_official_client_hears_speech(client: OpenAI, simulate: Simulate) -> None:
    voice(simulate().base_url)
    with client.audio.speech.with_streaming_response.create(
        model="acme/voice", voice="alloy", input="Hello", response_format="wav"
    ) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.read() == b"\0\1" * 500
        generation = answer.headers["x-generation-id"]
    row = Generation.objects.get()
    assert (row.public_id, row.operation, row.cost_nano) == (generation, "speech", 75_000)
    assert Charge.objects.get().quantities["character"] == 5


def test_speech_fails_over_before_the_first_byte(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    voice(bad.base_url, provider="sim-bad", per_unit={"character": "0.00001"})
    voice(good.base_url, provider="sim-good")
    for fault in ("500", "html", "empty", "error", "hang"):
        bad.order(fault, always=True)
        answer = post(gateway, alice, "/v1/audio/speech", model="acme/voice", input="Hello")
        assert (answer.status_code, len(answer.content)) == (200, 1_000), fault
        assert answer.headers["content-type"] == "audio/pcm"
    assert {charge.labels["provider"] for charge in Charge.objects.all()} == {"sim-good"}


def test_speech_that_breaks_off_is_no_clean_end(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    voice(sim.base_url)
    sim.order("cut")
    with pytest.raises(httpx.RemoteProtocolError):
        post(gateway, alice, "/api/v1/audio/speech", model="acme/voice", input="Hello" * 1_000)
    assert Charge.objects.get().quantities["character"] == 5_000


def test_speech_that_fails_costs_nothing(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    voice(sim.base_url)
    sim.order("500", always=True)
    assert post(gateway, alice, "/api/v1/audio/speech", model="acme/voice", input="Hello").status_code == 502
    assert Hold.objects.get().state == Hold.State.RELEASED


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt", "verbose_json"])
def test_the_official_client_reads_transcripts(client: OpenAI, simulate: Simulate, form: Any) -> None:
    ear(simulate().base_url)
    answer: Any = client.audio.transcriptions.create(
        model="acme/ear", file=("talk.wav", sound(2.5)), response_format=form, language="en"
    )
    said = answer if isinstance(answer, str) else answer.text
    assert "Simulated words" in said
    if form in {"srt", "vtt"}:
        assert "-->" in said
    if form == "verbose_json":
        assert (answer.duration, answer.segments[0].end) == (3.5, 1.5)
    charge = Charge.objects.get()
    seconds = 3 if form == "text" and charge.labels["usage_source"] == "counted" else 4
    assert (charge.quantities["audio_second"], charge.amount_nano) == (seconds, seconds * 100_000)


def test_sound_may_come_in_json(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    ear(sim.base_url)
    data = base64.b64encode(sound(2.5)).decode()
    asked = {"model": "acme/ear", "input_audio": {"data": data, "format": "wav"}}
    sim.order("nousage", "ok")
    assert post(gateway, alice, "/api/v1/audio/transcriptions", **asked).json()["usage"]["seconds"] == 3
    assert post(gateway, alice, "/v1/audio/transcriptions", **asked).json()["usage"] == {
        "type": "duration", "seconds": 4, "cost": 0.0004,
    }  # fmt: skip


def test_transcription_fails_over(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    bad, good = simulate("sim-bad"), simulate("sim-good")
    ear(bad.base_url, provider="sim-bad", per_unit={"audio_second": "0.00001"})
    ear(good.base_url, provider="sim-good", dialect="groq")
    bad.order("429:1", always=True)
    headers = {"authorization": f"Bearer {alice.key}"}
    files = {"file": ("talk.wav", sound(1))}
    path = f"{gateway}/api/v1/audio/transcriptions"
    answer = httpx.post(path, data={"model": "acme/ear"}, files=files, headers=headers, timeout=30)
    assert answer.status_code == 200
    assert Charge.objects.get().labels["provider"] == "sim-good"


def test_long_sound_needs_money_first(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    ear(sim.base_url, per_unit={"audio_second": "1"})
    data = base64.b64encode(sound(9)).decode()
    asked = {"model": "acme/ear", "input_audio": {"data": data, "format": "wav"}}
    answer = post(gateway, alice, "/api/v1/audio/transcriptions", **asked)
    assert (answer.status_code, sim.calls) == (402, 0)
    assert "$9.00" in answer.json()["error"]["message"]


def test_the_wrong_kind_of_model_names_one_that_can(gateway: str, simulate: Simulate, alice: Buyer) -> None:
    sim = simulate()
    voice(sim.base_url)
    ear(sim.base_url, provider="sim-two")
    asked = {"model": "acme/voice", "input_audio": {"data": "AAAA", "format": "wav"}}
    answer = post(gateway, alice, "/api/v1/audio/transcriptions", **asked)
    assert answer.status_code == 404
    assert "Models that give transcription and take audio: acme/ear." in answer.json()["error"]["message"]
