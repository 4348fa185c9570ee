"""Replicate's official clients against the whole system: each runs all its scenarios once, a test looks at each."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.clients import environments
from tests.journeys.hosting import customer, published
from tests.servers.system import ROOT, System, wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

CLIENTS = ("replicate-python-1", "replicate-python-2", "replicate-js")
SCENARIOS: dict[str, Any] = {
    "run": "hello you, hello you",
    "run_with_a_version": "hello you",
    "create_and_wait": ["succeeded", "hello you", True],
    "cancel": "canceled",
    "files": ["a.txt", 5, {"n": "one"}, False],
    "file_input": 5,
    "account": "OWNER",
    "refusal": [422, True],
    "failure": True,
    "deployments": [1, "succeeded", "hello you", True, 2],
    "trainings": ["succeeded", True, True, "wind", True],
    "training_canceled": "canceled",
    "training_refused": [422, True],
}
_COLLECT = """
from marketplace.models import Collection, Model
made, _ = Collection.objects.get_or_create(slug="text", defaults={"name": "Text", "description": "Words"})
made.members.set(Model.objects.filter(slug="hello-text"))
result = True
"""


class Post:
    """Takes webhooks at one of the system's spare ports, until the session ends."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        post = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                post.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def of(self, prediction_id: str) -> list[tuple[dict[str, str], str]]:
        return [one for one in self.got if json.loads(one[1])["id"] == prediction_id]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Bench:
    """The system under test, its webhooks' receiver, and what each client told, once it has run."""

    def __init__(self, system: System, post: Post) -> None:
        self.system, self.post = system, post
        self.hello, self.shapes = (published(system, name).split(":")[0] for name in ("hello-text", "detect-shapes"))
        self.trainer = published(system, "train-classifier")
        system.query(_COLLECT)
        self.told = cache(self._told)

    def _told(self, client: str) -> dict[str, Any]:
        payer = customer(self.system, name=client)
        found: dict[str, Any] = environments.run(
            client,
            within=300,
            TOKEN=payer.key,
            BASE_URL=self.system.base_url,
            HELLO=self.hello,
            SHAPES=self.shapes,
            TRAINER=self.trainer,
            TEXTS=str(ROOT / "examples" / "train-classifier" / "weather.csv"),
            OWNER=payer.slug,
            PICTURE=str(ROOT / "examples" / "detect-shapes" / "sample.png"),
            WEBHOOK=f"http://127.0.0.1:{self.system.spare_ports[-1]}/hook",
        )
        return found | {"OWNER": payer.slug}


@pytest.fixture(scope="module")
def bench(embedded: System) -> Iterator[Bench]:
    post = Post(embedded.spare_ports[-1])
    yield Bench(embedded, post)
    post.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_scenario_ends_as_the_client_expects(bench: Bench, client: str, scenario: str) -> None:
    told = bench.told(client)
    wanted = SCENARIOS[scenario]
    assert told[scenario] == (told["OWNER"] if wanted == "OWNER" else wanted)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_brings_every_word_and_ends(bench: Bench, client: str) -> None:
    text = "hello you, hello you, hello you"
    # The beta of 2.x polls for what it calls a stream.
    assert bench.told(client)["stream"] == (text if client.endswith("2") else [text, "done", True])


@pytest.mark.parametrize("client", CLIENTS)
def test_models_are_made_and_found(bench: Bench, client: str) -> None:
    told = bench.told(client)
    assert told["models"][1:] == ["private", True]
    assert bench.hello in told["search"]
    assert told["lists"] == [True, ["text"]]


@pytest.mark.parametrize("client", CLIENTS)
def test_webhooks_come_and_validate_by_the_clients_own_helper(bench: Bench, client: str) -> None:
    prediction_id, secret = bench.told(client)["webhook"]
    wait_until(lambda: len(bench.post.of(prediction_id)) >= 2, within=20, what="both webhooks have come")
    first, last = bench.post.of(prediction_id)
    assert [json.loads(body)["status"] for _, body in (first, last)] == ["processing", "succeeded"]
    checker = "replicate-js" if client.endswith("js") else "replicate-python-1"  # 2.x has no helper of its own
    for headers, body in (first, last):
        given = json.dumps({"secret": secret, "headers": headers, "body": body})
        assert environments.run(checker, "validate", given=given, BASE_URL=bench.system.base_url, TOKEN="none") is True
