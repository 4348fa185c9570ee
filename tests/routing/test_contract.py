"""What we answer at the reference's paths fits the reference's own description of it.

The description is not part of this project (it lies in ../shared where there is one), so these checks are skipped,
saying so, where it is absent.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from marketplace.models import Provider
from tests.factories.routing import Buyer, buyer, endpoint
from tests.reference import read
from tests.routing.api.test_audio import ear
from tests.routing.api.test_embeddings import vectors
from tests.routing.api.test_images import painter
from tests.routing.api.test_rerank import ranker
from tests.routing.api.test_videos import studio
from tests.routing.conftest import Simulated
from tests.routing.dialects import CHAT, MESSAGES, RESPONSES, Dialect
from tests.routing.operations.test_audio import sound

Simulate = Callable[..., Simulated]

TOOLED = {"parameters": ["tools", "tool_choice", "response_format", "structured_outputs"]}
PUBLIC = [
    "/models",
    "/models/count",
    "/providers",
    "/endpoints/zdr",
    "/model/acme/small",
    "/models/acme/small/endpoints",
]
KEYED = ["/models/user", "/key", "/presets"]
MANAGED = ["/keys", "/credits", "/activity", "/organization/members", "/guardrails"]


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    return read("openrouter-openapi.json")


def operation(reference: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The reference's operation for an address; a part of it in braces fits any word."""
    steps = path.split("?")[0].split("/")
    for template, operations in reference["paths"].items():
        inside = template.split("/")
        fits = len(inside) == len(steps) and all(
            ours == theirs or theirs.startswith("{") for ours, theirs in zip(steps, inside, strict=True)
        )
        if fits and method in operations:
            found: dict[str, Any] = operations[method]
            return found
    raise AssertionError(f"{method} {path} is not in the reference")


def check(
    reference: dict[str, Any], said: dict[str, Any], status: int, data: Any, kind: str = "application/json"
) -> None:
    """That the data fits what the operation answers with that status."""
    response = said["responses"][str(status)]
    while "$ref" in response:
        response = reference["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"][kind]["schema"]
    whole = {"$schema": Draft202012Validator.META_SCHEMA["$id"], "components": reference["components"], **schema}
    error = best_match(Draft202012Validator(whole).iter_errors(data))
    assert error is None, f"{error.json_path}: {error.message[:300]}"


def served(base_url: str, **fields: Any) -> None:
    """An endpoint of a provider whose name is one of those that the reference knows."""
    endpoint(base_url, **fields)
    Provider.objects.update(name="FakeProvider")


def ask(gateway: str, who: Buyer | None, method: str, path: str, body: Any = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {who.key}"} if who else {}
    return httpx.request(method, f"{gateway}/api/v1{path}", json=body, headers=headers, timeout=30)


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES], ids=str)
def test_chats(gateway: str, simulate: Simulate, alice: Buyer, reference: dict[str, Any], dialect: Dialect) -> None:
    sim = simulate()
    served(sim.base_url, **TOOLED)
    path = dialect.path.removeprefix("/api/v1")
    said = operation(reference, "post", path)
    for scenario in ("text", "tools", "results"):
        body = dict(dialect.bodies[scenario])
        check(reference, said, 200, ask(gateway, alice, "POST", path, body).json())
        text = ask(gateway, alice, "POST", path, body | {"stream": True}).text
        for one in text.strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in one.split("\n"))
            if lines["data"] != "[DONE]":
                event = {name: json.loads(line) if name == "data" else line for name, line in lines.items()}
                check(reference, said, 200, event, "text/event-stream")
    bodies = dict(dialect.bodies["text"])
    poor = buyer(email="b@x.example", dollars="0")
    sim.order("429:3", "500")
    for status, who, fields in (
        (401, None, {}),
        (400, alice, {"model": "acme/none"}),
        (404, alice, {"provider": {"only": ["x"]}}),
        (402, poor, {}),
        (429, alice, {}),
        (502, alice, {}),
    ):
        answer = ask(gateway, who, "POST", path, bodies | fields)
        assert answer.status_code == status
        if str(status) in said["responses"]:  # messages know no 402 there, though its prose does
            check(reference, said, status, answer.json())


def test_what_is_read(gateway: str, simulate: Simulate, alice: Buyer, reference: dict[str, Any]) -> None:
    served(simulate().base_url, policy={"zdr": True})
    manager = buyer(email="m@x.example", scopes=["management"])
    body = dict(CHAT.bodies["text"])
    made = ask(gateway, alice, "POST", "/chat/completions", body).json()["id"]
    for who, paths in ((None, PUBLIC), (alice, [*KEYED, f"/generation?id={made}"]), (manager, MANAGED)):
        for path in paths:
            answer = ask(gateway, who, "GET", path)
            assert answer.status_code == 200, (path, answer.text)
            check(reference, operation(reference, "get", path), 200, answer.json())
    check(reference, operation(reference, "get", "/key"), 401, ask(gateway, None, "GET", "/key").json())


WORKS: dict[str, tuple[Callable[[Simulated], None], str, dict[str, Any]]] = {
    "vectors": (lambda sim: vectors(sim.base_url), "/embeddings", {"model": "acme/vectors", "input": ["one", "two"]}),
    "ranks": (ranker, "/rerank", {"model": "acme/ranker", "query": "x", "documents": ["x", "y"]}),
    "pictures": (lambda sim: painter(sim.base_url), "/images", {"model": "acme/painter", "prompt": "a boat"}),
    "words heard": (
        lambda sim: ear(sim.base_url),
        "/audio/transcriptions",
        {"model": "acme/ear", "input_audio": {"data": b64encode(sound(1.0)).decode(), "format": "wav"}},
    ),
    "films": (lambda sim: studio(sim.base_url), "/videos", {"model": "acme/studio", "prompt": "a boat", "duration": 3}),
}


@pytest.mark.parametrize("name", WORKS)
def test_other_operations(gateway: str, simulate: Simulate, alice: Buyer, reference: dict[str, Any], name: str) -> None:
    """What they answer and refuse; vectors are asked for in both encodings, a film is looked after."""
    serve, path, body = WORKS[name]
    sim = simulate()
    serve(sim)
    said = operation(reference, "post", path)
    answer = ask(gateway, alice, "POST", path, body)
    assert answer.is_success, answer.text
    check(reference, said, answer.status_code, answer.json())
    if name == "vectors":
        check(reference, said, 200, ask(gateway, alice, "POST", path, body | {"encoding_format": "base64"}).json())
    if name == "films":
        job = f"/videos/{answer.json()['id']}"
        check(reference, operation(reference, "get", job), 200, ask(gateway, alice, "GET", job).json())
    sim.order("500", always=True)
    poor = buyer(email="b@x.example", dollars="0")
    for status, who, fields in ((401, None, {}), (400, alice, {"model": "acme/none"}), (402, poor, {})):
        refused = ask(gateway, who, "POST", path, body | fields)
        assert refused.status_code == status, refused.text
        if str(status) in said["responses"]:
            check(reference, said, status, refused.json())


def test_speech_is_refused_in_form(gateway: str, alice: Buyer, reference: dict[str, Any]) -> None:
    said = operation(reference, "post", "/audio/speech")
    body = {"model": "acme/none", "input": "Hello", "voice": "alloy"}
    check(reference, said, 401, ask(gateway, None, "POST", "/audio/speech", body).json())
    check(reference, said, 400, ask(gateway, alice, "POST", "/audio/speech", body).json())


def test_files(gateway: str, alice: Buyer, reference: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {alice.key}"}
    sent = {"file": ("a.txt", b"words", "text/plain")}
    made = httpx.post(f"{gateway}/api/v1/files", files=sent, headers=headers, timeout=30)
    check(reference, operation(reference, "post", "/files"), made.status_code, made.json())
    one = f"/files/{made.json()['id']}"
    for method, path in (("GET", "/files"), ("GET", one), ("DELETE", one)):
        answer = ask(gateway, alice, method, path)
        check(reference, operation(reference, method.lower(), path), answer.status_code, answer.json())
    gone = ask(gateway, alice, "GET", one)
    check(reference, operation(reference, "get", one), 404, gone.json())
