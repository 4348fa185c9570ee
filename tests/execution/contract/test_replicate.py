"""Our answers against Replicate's published OpenAPI document: every operation that it describes and we serve."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from execution.models import Prediction
from marketplace.models import Collection, Model
from tests.execution.api.conftest import Caller
from tests.execution.api.test_streams import streaming
from tests.execution.contract.conftest import DOCUMENT
from tests.factories.execution import hosted, predict, train, trainable

pytestmark = pytest.mark.django_db(transaction=True)


def plain(node: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes a type."""
    if isinstance(node, list):
        return [plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {name: plain(value) for name, value in node.items()}
    if found.pop("nullable", False) is True and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


@pytest.fixture(scope="module")
def document() -> Any:
    assert DOCUMENT is not None
    return plain(json.loads(DOCUMENT.read_text()))


class Book:
    """The document, and the caller whose answers are held against it."""

    def __init__(self, document: Any, caller: Caller) -> None:
        self.document, self.caller = document, caller

    def holds(self, method: str, pattern: str, *, body: Any = None, headers: Any = None, **names: str) -> Any:
        """Send the operation's request; its answer must have a described status and fit that status' schema."""
        address = pattern.partition("?")[0]
        query = pattern[len(address) :]
        described = self.document["paths"][address][method.lower()]["responses"]
        answer = self.caller.client.generic(
            method,
            "/v1" + address.format(**names) + query,
            body if isinstance(body, str) else json.dumps(body or {}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.caller.secret}", **(headers or {})},
        )
        assert str(answer.status_code) in described, answer.content
        media = described[str(answer.status_code)].get("content", {}).get("application/json")
        if media is None:
            return answer
        shown = answer.json()
        schema = {**media["schema"], "components": self.document["components"]}
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(shown)
        return shown


@pytest.fixture
def book(document: Any, caller: Caller) -> Book:
    return Book(document, caller)


def test_predictions(book: Book) -> None:
    version = hosted(schema=streaming())
    made = book.holds("POST", "/predictions", body={"version": version.pk, "input": {"text": "a"}})
    book.holds("GET", "/predictions/{prediction_id}", prediction_id=made["id"])
    book.holds("POST", "/predictions/{prediction_id}/cancel", prediction_id=made["id"])
    owner, name = version.model.full_slug.split("/")
    path = "/models/{model_owner}/{model_name}/predictions"
    waited = book.holds(
        "POST", path, body={"input": {"text": "a"}}, headers={"Prefer": "wait=1"}, model_owner=owner, model_name=name
    )
    assert waited["status"] == "starting"
    Prediction.objects.filter(pk=waited["id"]).update(data_removed=True)
    book.holds("GET", "/predictions?source=api")


def test_models_and_versions(book: Book) -> None:
    version = hosted(owner=book.caller.account, slug="mine", visibility="private")
    owner = book.caller.account.slug
    names = {"model_owner": owner, "model_name": "mine"}
    made = {"owner": owner, "name": "new", "visibility": "private", "hardware": "cpu"}
    book.holds("POST", "/models", body={**made, "description": "d", "license_url": "https://example.com"})
    book.holds("GET", "/models")
    book.holds("QUERY", "/models", body="mine")
    book.holds("GET", "/models/{model_owner}/{model_name}", **names)
    Model.objects.filter(pk=version.model_id).update(readme="# Mine")
    book.holds("GET", "/models/{model_owner}/{model_name}/readme", **names)
    book.holds("GET", "/models/{model_owner}/{model_name}/versions", **names)
    one = "/models/{model_owner}/{model_name}/versions/{version_id}"
    book.holds("GET", one, version_id=version.pk, **names)
    book.holds("DELETE", one, version_id=version.pk, **names)
    book.holds("PATCH", "/models/{model_owner}/{model_name}", body={"description": "other"}, **names)
    book.holds("DELETE", "/models/{model_owner}/{model_name}", **names)


def test_examples(book: Book) -> None:
    version = hosted(owner=book.caller.account, slug="mine")
    names = {"model_owner": book.caller.account.slug, "model_name": "mine"}
    shown = predict(book.caller.account, version)
    Prediction.objects.filter(pk=shown.pk).update(status="succeeded", completed_at=shown.created_at, output="a")
    changed = book.holds("PATCH", "/models/{model_owner}/{model_name}", body={"default_example": shown.pk}, **names)
    assert changed["default_example"]["id"] == shown.pk
    assert len(book.holds("GET", "/models/{model_owner}/{model_name}/examples", **names)["results"]) == 1


def test_deployments(book: Book) -> None:
    version = hosted()
    owner = book.caller.account.slug
    names = {"deployment_owner": owner, "deployment_name": "kept"}
    sizes = {"min_instances": 0, "max_instances": 1}
    made = {"name": "kept", "model": version.model.full_slug, "version": version.pk, "hardware": "cpu", **sizes}
    shown = book.holds("POST", "/deployments", body=made)
    assert shown["current_release"]["configuration"] == {"hardware": "cpu", **sizes}
    one = "/deployments/{deployment_owner}/{deployment_name}"
    book.holds("GET", one, **names)
    book.holds("GET", "/deployments")
    changed = book.holds("PATCH", one, body={"max_instances": 2}, **names)
    assert changed["current_release"]["number"] == 2
    book.holds("DELETE", one, **names)
    book.holds("POST", "/deployments", body=made)
    run = book.holds("POST", one + "/predictions", body={"input": {"text": "a"}}, **names)
    assert run["deployment"] == "kept"


def test_trainings(book: Book) -> None:
    version = trainable()
    ended = train(book.caller.account, version)
    output = {"version": f"payer/mine:{'a' * 64}", "weights": "turnpike-file:" + "a" * 26}
    Prediction.objects.filter(pk=ended.pk).update(
        status="succeeded", started_at=ended.created_at, completed_at=ended.created_at, output=output
    )
    names = {"model_owner": "demo", "model_name": "trainer", "version_id": version.pk}
    path = "/models/{model_owner}/{model_name}/versions/{version_id}/trainings"
    body = {"destination": "payer/mine", "input": {"data": "data:text/plain,hi"}}
    made = book.holds("POST", path, body=body, **names)
    assert (made["status"], made["model"], made["version"]) == ("starting", "demo/trainer", version.pk)
    assert made["input"] == {"data": "data:text/plain,hi", "rounds": 3}
    shown = book.holds("GET", "/trainings/{training_id}", training_id=ended.pk)
    assert shown["output"] == output
    assert len(book.holds("GET", "/trainings")["results"]) == 2
    canceled = book.holds("POST", "/trainings/{training_id}/cancel", training_id=made["id"])
    assert canceled["status"] == "canceled"


def test_what_belongs_to_the_account(book: Book) -> None:
    predict(book.caller.account, hosted())
    book.holds("GET", "/account")
    book.holds("GET", "/hardware")
    book.holds("GET", "/webhooks/default/secret")
    stored = book.caller.upload("/v1/files", content=open_text()).json()
    book.holds("GET", "/files")
    book.holds("GET", "/files/{file_id}", file_id=stored["id"])
    book.holds("DELETE", "/files/{file_id}", file_id=stored["id"])


def open_text() -> SimpleUploadedFile:
    return SimpleUploadedFile("a.txt", b"hello", "text/plain")


def test_collections_and_search(book: Book) -> None:
    box = Collection.objects.create(slug="box", name="Reading box", description="d")
    box.members.add(hosted(slug="reader").model)
    book.holds("GET", "/collections")
    book.holds("GET", "/collections/{collection_slug}", collection_slug="box")
    book.holds("GET", "/search?query=read")
