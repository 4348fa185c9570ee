"""GET /metrics: what is counted, and who may read it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.factories.routing import Buyer, endpoint
from tests.routing.conftest import Simulated
from tests.servers.system import ROOT

Simulate = Callable[..., Simulated]


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Name and labels -> value; raises where it is not Prometheus's format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_request_its_attempts_and_its_endpoints_are_counted(alice: Buyer, simulate: Simulate, gateway: str) -> None:
    one, two = simulate("sim-one"), simulate("sim-two")
    cheap = endpoint(one.base_url, provider="sim-one", per_million={"prompt": "0.01", "completion": "0.01"})
    dear = endpoint(two.base_url, provider="sim-two", per_million={"prompt": "9.00", "completion": "9.00"})
    one.order("401", always=True)
    before = read(httpx.get(f"{gateway}/metrics").text)
    body = {"model": "acme/small", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    answer = httpx.post(
        f"{gateway}/api/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {alice.key}"}, timeout=30
    )
    assert answer.status_code == 200
    after = read(httpx.get(f"{gateway}/metrics").text)

    def grown(name: str, **labels: object) -> float:
        key = (name, frozenset((label, str(value)) for label, value in labels.items()))
        return after[key] - before.get(key, 0)

    at_cheap = {"endpoint": cheap.pk, "provider": "sim-one", "model": "acme/small"}
    at_dear = {"endpoint": dear.pk, "provider": "sim-two", "model": "acme/small"}
    assert grown("turnpike_requests_total", operation="chat", status="finished") == 1
    assert grown("turnpike_attempts_total", **at_cheap, outcome="auth") == 1
    assert grown("turnpike_attempts_total", **at_dear, outcome="ok") == 1
    assert grown("turnpike_first_token_seconds_count", **at_dear) == 1
    assert grown("turnpike_tokens_per_second_count", **at_dear) == 1
    assert after["turnpike_endpoint_breaker_open", frozenset({("endpoint", str(cheap.pk))})] == 1
    assert after["turnpike_endpoint_breaker_open", frozenset({("endpoint", str(dear.pk))})] == 0
    assert after["turnpike_endpoint_in_flight", frozenset({("endpoint", str(dear.pk))})] == 0
    assert after["turnpike_holds_open", frozenset()] == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "how", [{"REMOTE_ADDR": "203.0.113.9"}, {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, {"REMOTE_ADDR": ""}]
)
def test_without_a_token_only_this_machine_may_read(how: dict[str, str]) -> None:
    assert Client().get("/metrics").status_code == 200
    assert Client().get("/metrics", **how).status_code == 404  # type: ignore[arg-type]


@pytest.mark.django_db
def test_with_a_token_whoever_has_it_may_read_and_nobody_else(settings: Any) -> None:
    settings.METRICS_TOKEN = "let me in"
    assert Client().get("/metrics").status_code == 401
    assert Client().get("/metrics", headers={"Authorization": "Bearer let me"}).status_code == 401
    away = Client(REMOTE_ADDR="203.0.113.9")
    assert away.get("/metrics", headers={"Authorization": "Bearer let me in"}).status_code == 200


def test_any_of_several_processes_answers_for_all(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(shared), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    counts = "import django; django.setup(); from routing.services import metrics; "
    counts += "metrics.ended(operation='chat', status='finished')"
    shows = "; import prometheus_client as p; r = p.CollectorRegistry(); metrics.MultiProcessCollector(r); "
    shows += "print(p.generate_latest(r).decode())"
    subprocess.run([sys.executable, "-c", counts], cwd=ROOT, env=environment, check=True)
    shown = subprocess.run(
        [sys.executable, "-c", counts + shows], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    found = read(shown)
    assert found["turnpike_requests_total", frozenset({("operation", "chat"), ("status", "finished")})] == 2
