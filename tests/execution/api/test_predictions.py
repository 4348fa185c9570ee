import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from billing.models import Hold
from execution.models import IdempotencyKey, Prediction
from execution.services import attempts, endings
from execution.states import Status
from marketplace.models import Version
from tests.execution.api.conftest import Caller
from tests.factories.execution import hosted, payer, predict
from tests.factories.marketplace import EndpointFactory, ModelFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version() -> Version:
    return hosted()


def succeed(prediction_id: str, output: Any = "hi") -> None:
    attempt = attempts.begin(prediction_id=prediction_id, owner="w", hardware="cpu")
    assert attempt is not None
    attempts.started(attempt)
    assert endings.end(
        prediction_id=prediction_id,
        status=Status.SUCCEEDED,
        run_ms=100,
        only=attempt.mine,
        changes={"output": output, "logs": "done\n"},
    )


class TestCreate:
    def test_a_prediction_is_made(self, caller: Caller, version: Version) -> None:
        answer = caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "hello"}})
        assert answer.status_code == 201, answer.content
        body = answer.json()
        assert body["status"] == "starting"
        assert body["model"] == "demo/echo"
        assert body["version"] == version.pk
        assert body["input"] == {"text": "hello", "times": 1}
        assert body["output"] is None
        assert body["error"] is None
        assert body["source"] == "api"
        assert body["data_removed"] is False
        assert set(body["urls"]) == {"get", "cancel", "web"}
        assert answer.headers["Location"] == body["urls"]["get"]
        assert caller.get(f"/v1/predictions/{body['id']}").json() == body

    @pytest.mark.parametrize("path", ["/v1/models/demo/echo/predictions", "/v1/v1/models/demo/echo/predictions"])
    def test_by_model(self, caller: Caller, version: Version, path: str) -> None:
        answer = caller.post(path, {"input": {"text": "hello"}})
        assert answer.status_code == 201
        assert answer.json()["version"] == version.pk

    def test_a_model_of_providers_says_where_it_is_called_and_a_misspelt_one_what_was_meant(
        self, caller: Caller, version: Version
    ) -> None:
        EndpointFactory(model=ModelFactory(slug="routed"))
        for path, says in (("acme/routed", "POST /api/v1/chat/completions"), ("demo/ecko", "Did you mean demo/echo?")):
            answer = caller.post(f"/v1/models/{path}/predictions", {"input": {"text": "hello"}})
            assert answer.status_code == 404
            assert says in answer.json()["detail"]
        assert "Did you mean demo/echo?" in caller.get("/v1/models/demo/ech").json()["detail"]

    @pytest.mark.parametrize(
        ("body", "status", "says"),
        [
            ({"version": "demo/echo", "input": {}}, 422, "input.text: text is required"),
            (
                {"version": "demo/echo", "input": {"text": "a", "size": 1}},
                422,
                "Additional property size is not allowed",
            ),
            ({"version": "demo/none", "input": {"text": "a"}}, 422, "does not exist"),
            ({"input": {"text": "a"}}, 400, "Say which model to run"),
            ({"version": "demo/echo", "input": "text"}, 422, "must be an object"),
            ("{", 400, "not valid JSON"),
            ("[1]", 400, "must be a JSON object"),
        ],
    )
    def test_a_bad_body_is_told_what_to_change(
        self, caller: Caller, version: Version, body: Any, status: int, says: str
    ) -> None:
        answer = caller.post("/v1/predictions", body)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert says in answer.json()["detail"]
        assert answer.json()["status"] == status
        assert not Prediction.objects.exists()

    def test_no_key_and_a_wrong_key(self, caller: Caller, version: Version) -> None:
        caller.secret = "wrong"
        assert caller.get("/v1/predictions").status_code == 401
        assert caller.client.get("/v1/predictions").status_code == 401

    def test_an_empty_wallet_is_a_402(self, version: Version) -> None:
        poor = Caller(payer("0", email="poor@example.com", slug="poor"))
        answer = poor.post("/v1/predictions", {"version": "demo/echo", "input": {"text": "a"}})
        assert answer.status_code == 402
        assert "Not enough credit" in answer.json()["detail"]
        assert "tokens" not in answer.json()["detail"]  # a run has none to ask fewer of

    def test_cancel_after(self, caller: Caller, version: Version) -> None:
        body = {"version": "demo/echo", "input": {"text": "a"}}
        answer = caller.post("/v1/predictions", body, **{"Cancel-After": "1m"})
        made = Prediction.objects.get(pk=answer.json()["id"])
        assert made.deadline is not None
        assert (made.deadline - made.created_at).total_seconds() == 60
        assert answer.json()["deadline"].endswith("Z")
        assert caller.post("/v1/predictions", body, **{"Cancel-After": "1s"}).status_code == 400

    def test_what_clients_require_is_there_and_what_may_not_be_null_is_left_out(
        self, caller: Caller, version: Version
    ) -> None:
        made = caller.post("/v1/predictions", {"version": "demo/echo", "input": {"text": "a"}}).json()
        succeed(made["id"])
        done = caller.get(f"/v1/predictions/{made['id']}").json()
        required = {
            "id",
            "model",
            "version",
            "input",
            "output",
            "data_removed",
            "error",
            "status",
            "created_at",
            "urls",
        }
        for body in (made, done):
            assert required <= set(body)
            assert {name for name, value in body.items() if value is None} <= {"output", "error"}
            assert all(isinstance(value, str) for value in body["urls"].values())
        assert not {"started_at", "completed_at", "deadline"} & set(made)
        assert done["created_at"] <= done["started_at"] <= done["completed_at"]


class TestWait:
    def test_the_end_is_waited_for(self, caller: Caller, version: Version) -> None:
        def finish() -> None:
            try:
                while not (waiting := Prediction.objects.values_list("pk", flat=True).first()):
                    time.sleep(0.02)
                time.sleep(0.3)
                succeed(waiting, output="there")
            finally:
                connection.close()

        worker = threading.Thread(target=finish)
        worker.start()
        started = time.monotonic()
        answer = caller.post("/v1/predictions", {"version": "demo/echo", "input": {"text": "a"}}, Prefer="wait")
        worker.join()
        assert answer.status_code == 201
        assert answer.json()["status"] == "succeeded"
        assert answer.json()["output"] == "there"
        assert answer.json()["metrics"]["predict_time"] == 0.1
        assert time.monotonic() - started < 30  # of the minute that it may wait

    def test_a_wait_that_runs_out_says_starting_even_when_it_runs(self, caller: Caller, version: Version) -> None:
        def start() -> None:
            try:
                while not (waiting := Prediction.objects.values_list("pk", flat=True).first()):
                    time.sleep(0.02)
                attempt = attempts.begin(prediction_id=waiting, owner="w", hardware="cpu")
                assert attempt is not None
                attempts.started(attempt)
                attempts.write(attempt, output="half")
            finally:
                connection.close()

        worker = threading.Thread(target=start)
        worker.start()
        began = time.monotonic()
        answer = caller.post("/v1/predictions", {"version": "demo/echo", "input": {"text": "a"}}, Prefer="wait=1")
        worker.join()
        assert time.monotonic() - began < 30  # of the minute that it would wait unasked
        assert answer.status_code == 202
        assert answer.json()["status"] == "starting"
        assert answer.json()["output"] is None
        assert caller.get(f"/v1/predictions/{answer.json()['id']}").json()["status"] == "processing"


class TestIdempotency:
    BODY = {"version": "demo/echo", "input": {"text": "a"}}

    def test_the_same_again_is_the_same_prediction(self, caller: Caller, version: Version) -> None:
        first, second = (caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"}) for _ in range(2))
        assert first.json()["id"] == second.json()["id"]
        assert second.headers["Idempotent-Replayed"] == "true"
        assert Prediction.objects.count() == Hold.objects.count() == 1

    def test_another_body_is_a_422(self, caller: Caller, version: Version) -> None:
        caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"})
        other = {"version": "demo/echo", "input": {"text": "b"}}
        assert caller.post("/v1/predictions", other, **{"Idempotency-Key": "one"}).status_code == 422

    def test_one_in_flight_is_a_409_until_its_lease_is_over(self, caller: Caller, version: Version) -> None:
        caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"})
        IdempotencyKey.objects.update(result="")
        answer = caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"})
        assert answer.status_code == 409
        assert answer.headers["Retry-After"] == "1"
        IdempotencyKey.objects.update(lease_expires_at=timezone.now())
        assert caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"}).status_code == 201

    def test_a_refused_request_leaves_its_name_free(self, caller: Caller, version: Version) -> None:
        assert caller.post("/v1/predictions", {"version": "demo/none"}, **{"Idempotency-Key": "one"}).status_code == 422
        assert caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"}).status_code == 201

    def test_a_hundred_at_once_have_one_effect(self, caller: Caller, version: Version) -> None:
        def post(_: int) -> tuple[int, str]:
            try:
                answer = caller.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "one"})
                return answer.status_code, answer.json().get("id", "")
            finally:
                connection.close()

        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(post, range(100)))
        assert {status for status, _ in answers} <= {201, 409}
        assert len({one for status, one in answers if status == 201}) == 1
        assert Prediction.objects.count() == Hold.objects.count() == 1

    def test_names_are_an_accounts_own(self, caller: Caller, stranger: Caller, version: Version) -> None:
        first, second = (
            who.post("/v1/predictions", self.BODY, **{"Idempotency-Key": "x"}) for who in (caller, stranger)
        )
        assert first.json()["id"] != second.json()["id"]


class TestRead:
    def test_a_strangers_prediction_is_a_404(self, caller: Caller, stranger: Caller, version: Version) -> None:
        made = predict(caller.account, version)
        assert stranger.get(f"/v1/predictions/{made.pk}").status_code == 404
        assert stranger.post(f"/v1/predictions/{made.pk}/cancel").status_code == 404
        assert stranger.get("/v1/predictions").json()["results"] == []
        assert caller.get("/v1/predictions/nothing").status_code == 404

    def test_cancel(self, caller: Caller, version: Version) -> None:
        made = predict(caller.account, version)
        answer = caller.post(f"/v1/predictions/{made.pk}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        assert caller.post(f"/v1/predictions/{made.pk}/cancel").json()["status"] == "canceled"

    def test_pages_have_each_row_once_in_both_directions(
        self, caller: Caller, version: Version, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("execution.api.predictions.PAGE", 3)
        made = [predict(caller.account, version).pk for _ in range(7)]
        moment = timezone.now()
        Prediction.objects.update(created_at=moment)  # all at once: only the id tells them apart
        seen, url, previous = [], "/v1/predictions", None
        while url:
            page = caller.get(url).json()
            seen.append([row["id"] for row in page["results"]])
            previous, url = page["previous"], page["next"] and page["next"].removeprefix("http://testserver")
        assert [len(one) for one in seen] == [3, 3, 1]
        assert sorted(one for rows in seen for one in rows) == sorted(made)
        assert previous is not None
        back = caller.get(previous.removeprefix("http://testserver")).json()
        assert [row["id"] for row in back["results"]] == seen[1]
        assert back["next"]
        assert back["previous"]

    @pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=WyJwIl0", "source=mars", "created_after=yesterday"])
    def test_bad_queries_are_400(self, caller: Caller, query: str) -> None:
        assert caller.get(f"/v1/predictions?{query}").status_code == 400

    def test_the_list_is_narrowed(self, caller: Caller, version: Version) -> None:
        predict(caller.account, version)
        mine = predict(caller.account, version, source="web")
        rows = caller.get("/v1/predictions?source=web").json()["results"]
        assert [row["id"] for row in rows] == [mine.pk]
        assert caller.get("/v1/predictions?created_after=2099-01-01T00:00:00Z").json()["results"] == []


class TestCatalogue:
    def test_models_versions_hardware_and_account(self, caller: Caller, version: Version) -> None:
        models = caller.get("/v1/models").json()["results"]
        assert [(one["owner"], one["name"], one["latest_version"]["id"]) for one in models] == [
            ("demo", "echo", version.pk)
        ]
        assert caller.get("/v1/models/demo/echo").json() == models[0]
        assert caller.get("/v1/models/demo/none").status_code == 404
        found = caller.get(f"/v1/models/demo/echo/versions/{version.pk}").json()
        assert found == caller.get("/v1/models/demo/echo/versions").json()["results"][0]
        assert found["openapi_schema"]["components"]["schemas"]["Input"]
        assert caller.get("/v1/hardware").json() == [{"name": "CPU", "sku": "cpu"}]
        assert caller.get("/v1/account").json()["username"] == "payer"

    def test_a_strangers_private_model_is_not_listed(self, caller: Caller) -> None:
        version = hosted(visibility="private", slug="secret")
        assert caller.get("/v1/models").json()["results"] == []
        assert caller.get("/v1/models/demo/secret").status_code == 404
        assert caller.get("/v1/models/demo/secret/versions").status_code == 404
        assert caller.get(f"/v1/models/demo/secret/versions/{version.pk}").status_code == 404
