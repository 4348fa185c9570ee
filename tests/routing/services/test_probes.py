"""What a probe asks of an endpoint, what it takes for an answer, and that one worker of several does it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from marketplace.models import Endpoint
from routing.services import probes
from routing.upstream import Sender
from tests.factories.routing import endpoint as make
from tests.routing.conftest import QUICK, Simulated

pytestmark = pytest.mark.django_db
Simulate = Callable[..., Simulated]
ALL = ["temperature", "tools", "response_format", "structured_outputs"]


def waiting(simulated: Simulated, **fields: Any) -> Endpoint:
    """A hidden endpoint at a simulated provider, its probe due."""
    said: dict[str, Any] = {"is_active": False, "hidden": "probe", "probe_due_at": timezone.now(), "parameters": []}
    return make(simulated.base_url, **(said | fields))


def run(endpoint: Endpoint) -> dict[str, bool]:
    """Probe it; what passed and what failed."""
    probes.run(endpoint.pk, sender=Sender(limits=QUICK))
    endpoint.refresh_from_db()
    return {one["name"]: one["passed"] for one in endpoint.probe["results"]}


def test_what_is_claimed_is_asked_for_and_the_endpoint_shown(simulate: Simulate) -> None:
    simulated = simulate(tokens=24)
    endpoint = waiting(simulated, parameters=ALL, input_modalities=["text", "image"])
    assert run(endpoint) == {"plain": True, "stream": True, "tools": True, "json schema": True, "image": True}
    assert (endpoint.is_active, endpoint.hidden, endpoint.probe_due_at) == (True, "", None)
    assert simulated.calls == 5


def test_nothing_else_is_asked_for(simulate: Simulate) -> None:
    endpoint = waiting(simulate())
    assert run(endpoint) == {"plain": True, "stream": True}
    assert endpoint.is_active


@pytest.mark.parametrize("fault", ["500", "429:1", "hang", "html", "empty", "nousage"])
def test_what_does_not_answer_well_stays_hidden_and_is_asked_no_more(simulate: Simulate, fault: str) -> None:
    simulated = simulate()
    endpoint = waiting(simulated, parameters=ALL)
    simulated.order(fault)
    assert run(endpoint) == {"plain": False}
    assert (endpoint.is_active, endpoint.hidden) == (False, "failed")
    assert endpoint.probe["results"][0]["detail"]
    assert simulated.calls == 1


@pytest.mark.parametrize("fault", ["cut:3", "clip:3", "stall:3", "nousage", "malformed"])
def test_a_bad_stream_is_found(simulate: Simulate, fault: str) -> None:
    simulated = simulate()
    endpoint = waiting(simulated)
    simulated.order("ok", fault)
    assert run(endpoint) == {"plain": True, "stream": False}


@pytest.mark.parametrize(("claimed", "name"), [("tools", "tools"), ("response_format", "json")])
def test_a_claim_that_is_not_kept_hides_it(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch, claimed: str, name: str
) -> None:
    monkeypatch.setattr("routing.simulation.answers._tool", lambda *_: None)
    monkeypatch.setattr("routing.simulation.answers._structured", lambda *_: None)
    endpoint = waiting(simulate(), parameters=[claimed])
    assert run(endpoint) == {"plain": True, "stream": True, name: False}
    assert endpoint.hidden == "failed"


def test_json_that_ignores_the_schema_is_found(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routing.simulation.answers.example", lambda *_: {"town": "Paris"})
    endpoint = waiting(simulate(tokens=24), parameters=["structured_outputs"])
    assert run(endpoint)["json schema"] is False
    assert "does not follow the schema" in endpoint.probe["results"][-1]["detail"]


def test_what_cannot_be_probed_says_so(simulate: Simulate) -> None:
    endpoint = waiting(simulate(), output_modalities=["video"])
    assert run(endpoint) == {"plain": False}
    assert "no probe for video" in endpoint.probe["results"][0]["detail"]


@pytest.mark.parametrize("kind", ["embeddings", "rerank", "image", "speech", "transcription"])
def test_what_does_not_chat_is_asked_for_what_it_does(simulate: Simulate, kind: str) -> None:
    simulated = simulate()
    endpoint = waiting(simulated, output_modalities=[kind], parameters=["tools"])
    assert run(endpoint) == {"plain": True}
    assert (endpoint.is_active, simulated.calls) == (True, 1)


@pytest.mark.parametrize("kind", ["embeddings", "rerank", "image", "speech", "transcription"])
@pytest.mark.parametrize("fault", ["500", "hang"])
def test_what_does_not_chat_and_does_not_answer_stays_hidden(simulate: Simulate, kind: str, fault: str) -> None:
    simulated = simulate()
    endpoint = waiting(simulated, output_modalities=[kind])
    simulated.order(fault, always=True)
    assert run(endpoint) == {"plain": False}
    assert (endpoint.is_active, endpoint.hidden) == (False, "failed")


def test_an_operation_that_the_dialect_lacks_is_said(simulate: Simulate) -> None:
    endpoint = waiting(simulate(dialect="anthropic"), dialect="anthropic", output_modalities=["rerank"])
    assert run(endpoint) == {"plain": False}
    assert "not spoken here for rerank" in endpoint.probe["results"][0]["detail"]


def test_credentials_of_another_address_are_not_sent(simulate: Simulate) -> None:
    simulated, other = simulate(), simulate()
    endpoint = waiting(simulated)
    provider = endpoint.provider
    provider.base_url = other.base_url
    provider.save()
    assert run(endpoint) == {"plain": False}
    assert "give them anew" in endpoint.probe["results"][0]["detail"]
    assert other.calls == 0


def test_a_private_address_is_not_called(simulate: Simulate, settings: Any) -> None:
    simulated = simulate()
    endpoint = waiting(simulated)
    settings.PRIVATE_ORIGINS = frozenset()
    assert run(endpoint) == {"plain": False}
    assert simulated.calls == 0


def test_a_waiting_endpoint_is_probed_once(simulate: Simulate) -> None:
    simulated = simulate()
    endpoint = waiting(simulated)
    now = timezone.now() + dt.timedelta(seconds=1)
    assert [probes.run_due(now=now), probes.run_due(now=now)] == [1, 0]
    endpoint.refresh_from_db()
    assert endpoint.is_active


def test_endpoints_of_disabled_providers_wait(simulate: Simulate) -> None:
    endpoint = waiting(simulate())
    endpoint.provider.is_active = False
    endpoint.provider.save()
    assert probes.run_due() == 0
