"""Trainings over HTTP: made once, shown to their owner, canceled, told by webhook."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing.models import Hold
from execution import limits
from execution.models import Prediction
from execution.services import attempts, endings, webhooks
from execution.states import Status
from marketplace.models import Model, Version
from marketplace.services import guardrails
from tests.execution.api.conftest import Caller
from tests.factories.execution import hosted, payer, predict, train, trainable
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"destination": "payer/mine", "input": {"data": "data:text/plain,hi"}}


@pytest.fixture
def version(caller: Caller) -> Version:
    hosted(owner=caller.account, slug="mine", visibility=Model.Visibility.PRIVATE)
    return trainable()


@pytest.fixture
def path(version: Version) -> str:
    return f"/v1/models/demo/trainer/versions/{version.pk}/trainings"


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    made = Receiver()
    settings.PRIVATE_ORIGINS = {made.origin}
    yield made
    made.close()


def test_a_training_is_made_and_shown_to_its_owner_alone(caller: Caller, stranger: Caller, path: str) -> None:
    answer = caller.post(path, BODY)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["status"], body["source"], body["input"]["rounds"], body["error"]) == ("starting", "api", 3, None)
    assert "output" not in body
    assert body["destination"] == "payer/mine"
    assert set(body["urls"]) == {"get", "cancel", "web"}
    assert body["urls"]["get"] == answer.headers["Location"] == f"http://testserver/v1/trainings/{body['id']}"
    assert caller.get(f"/v1/trainings/{body['id']}").json() == body
    assert caller.get(f"/v1/v1/trainings/{body['id']}").json() == body
    assert caller.get(f"/v1/predictions/{body['id']}").status_code == 404
    assert caller.get("/v1/predictions").json()["results"] == []
    for way in ("", "/cancel"):
        asked = stranger.post if way else stranger.get
        assert asked(f"/v1/trainings/{body['id']}{way}").status_code == 404
    assert stranger.get("/v1/trainings").json()["results"] == []


def test_a_cancel_ends_it_and_frees_the_money(caller: Caller, path: str) -> None:
    made = caller.post(path, BODY).json()
    assert caller.post(f"/v1/trainings/{made['id']}/cancel").json()["status"] == "canceled"
    assert caller.post(f"/v1/trainings/{made['id']}/cancel").json()["status"] == "canceled"
    assert Hold.objects.get(reference=made["id"]).state == Hold.State.RELEASED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"destination": None}, "`destination` is required"),
        ({"destination": "demo/trainer"}, "no model demo/trainer"),
        ({"input": {}}, "data is required"),
        ({"input": {"data": "data:text/plain,hi", "text": "a"}}, "text is not allowed"),
        ({"webhook": "ftp://example.com"}, "`webhook`"),
        ({"webhook": "https://example.com", "webhook_events_filter": ["begin"]}, "`webhook_events_filter`"),
    ],
)
def test_a_bad_request_says_what_to_change(caller: Caller, path: str, change: dict, says: str) -> None:
    answer = caller.post(path, {**BODY, **change})
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.content
    assert not Prediction.objects.exists()
    assert not Hold.objects.exists()


def test_versions_that_cannot_be_trained_or_seen(caller: Caller, version: Version) -> None:
    plain = hosted(slug="plain")
    answer = caller.post(f"/v1/models/demo/plain/versions/{plain.pk}/trainings", BODY)
    assert (answer.status_code, "train function" in answer.json()["detail"]) == (422, True)
    assert caller.post(f"/v1/models/demo/plain/versions/{version.pk}/trainings", BODY).status_code == 404
    Model.objects.filter(pk=version.model_id).update(visibility=Model.Visibility.PRIVATE)
    assert caller.post(f"/v1/models/demo/trainer/versions/{version.pk}/trainings", BODY).status_code == 404


def test_an_idempotency_key_makes_one_training(caller: Caller, path: str) -> None:
    first, second = (caller.post(path, BODY, **{"Idempotency-Key": "once"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"
    other = caller.post(path, {**BODY, "input": {"data": "data:text/plain,ho"}}, **{"Idempotency-Key": "once"})
    assert other.status_code == 422
    refused = caller.post(path, {**BODY, "destination": "none/such"}, **{"Idempotency-Key": "again"})
    assert refused.status_code == 422
    assert caller.post(path, BODY, **{"Idempotency-Key": "again"}).status_code == 201


def test_trainings_count_against_the_rate_of_new_runs(
    caller: Caller, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CREATIONS_A_MINUTE", 1)
    assert caller.post(path, BODY).status_code == 201
    late = caller.post(path, BODY)
    assert (late.status_code, "Retry-After" in late.headers) == (429, True)


def test_without_money_nothing_is_made(version: Version) -> None:
    poor = Caller(payer("0", email="poor@example.com", slug="poor"))
    hosted(owner=poor.account, slug="hers", visibility=Model.Visibility.PRIVATE)
    body = {**BODY, "destination": "poor/hers"}
    assert poor.post(f"/v1/models/demo/trainer/versions/{version.pk}/trainings", body).status_code == 402
    assert not Prediction.objects.exists()


def test_guardrails_bind_trainings(caller: Caller, path: str) -> None:
    row = guardrails.create(account=caller.account, values={"name": "strict", "allowed_models": ["demo/other"]})
    guardrails.assign_keys(row=row, keys=[caller.key])
    refused = caller.post(path, BODY)
    assert (refused.status_code, "demo/trainer" in refused.json()["detail"]) == (403, True), refused.content


def test_the_list_is_paged_newest_first(caller: Caller, version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution.api.trainings.PAGE", 2)
    made = [train(caller.account, version).pk for _ in range(3)]
    predict(caller.account, hosted(slug="plain"))
    first = caller.get("/v1/trainings").json()
    second = caller.get(first["next"].removeprefix("http://testserver")).json()
    assert [one["id"] for one in [*first["results"], *second["results"]]] == made[::-1]
    assert second["next"] is None


def test_its_end_is_told_as_a_training(caller: Caller, path: str, receiver: Receiver) -> None:
    asked = {"webhook": f"{receiver.url}/hook", "webhook_events_filter": ["completed"]}
    made = caller.post(path, {**BODY, **asked}).json()
    attempt = attempts.begin(prediction_id=made["id"], owner="w", hardware="cpu")
    assert attempt is not None
    attempts.started(attempt)
    output = {"weights": "turnpike-file:gone", "version": "payer/mine:1"}
    endings.end(prediction_id=made["id"], status=Status.SUCCEEDED, run_ms=5, changes={"output": output})
    assert webhooks.deliver(prediction_id=made["id"])
    [told] = receiver.bodies
    assert (told["id"], told["status"], told["output"]) == (made["id"], "succeeded", output)
    assert told["urls"]["get"].endswith(f"/v1/trainings/{made['id']}")
    assert told["metrics"]["predict_time"] == 0.005
