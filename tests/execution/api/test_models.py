"""Models, versions, collections and search over HTTP."""

from types import SimpleNamespace
from typing import Any

import pytest

from execution.models import Prediction
from marketplace.models import Collection, Model, Version
from tests.execution.api.conftest import Caller
from tests.factories.execution import hardware, hosted, predict

pytestmark = pytest.mark.django_db(transaction=True)


def made(caller: Caller, **more: Any) -> Any:
    hardware()
    body = {"owner": caller.account.slug, "name": "mine", "visibility": "private", "hardware": "cpu", **more}
    return caller.post("/v1/models", body)


def owned(caller: Caller, **more: Any) -> Version:
    return hosted(owner=caller.account, slug="mine", visibility="private", **more)


def query(caller: Caller, body: str) -> Any:
    return caller.client.generic(
        "QUERY",
        "/v1/models",
        body,
        content_type="text/plain",
        headers={"Authorization": f"Bearer {caller.secret}"},
    )


def test_a_model_is_made_described_and_deleted(caller: Caller) -> None:
    answer = made(caller, description="mine alone", github_url="https://example.com/code")
    assert answer.status_code == 201
    assert answer.json()["latest_version"] is None
    assert answer.json()["is_official"] is False
    path = f"/v1/models/{caller.account.slug}/mine"
    changed = caller.client.patch(
        path,
        {"readme": "# Mine", "github_url": None, "paper_url": "https://example.com/paper"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {caller.secret}"},
    ).json()
    assert (changed["description"], changed["github_url"]) == ("mine alone", None)
    assert changed["paper_url"] == "https://example.com/paper"
    readme = caller.get(f"{path}/readme")
    assert (readme.content, readme.headers["Content-Type"]) == (b"# Mine", "text/plain; charset=utf-8")
    assert caller.delete(path).status_code == 204
    assert caller.get(path).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"owner": "somebody"}, 403),
        ({"name": "No Such Name"}, 422),
        ({"visibility": "secret"}, 422),
        ({"hardware": "abacus"}, 422),
        ({"github_url": "javascript:alert(1)"}, 422),
        ({"description": 5}, 422),
        ({"name": ""}, 422),
    ],
)
def test_a_model_that_cannot_be_made_is_told_why(caller: Caller, wrong: dict[str, Any], status: int) -> None:
    answer = made(caller, **wrong)
    assert answer.status_code == status, answer.content
    assert answer.json()["detail"]
    assert not Model.objects.exists()


def test_a_name_is_given_once(caller: Caller) -> None:
    assert made(caller).status_code == 201
    assert made(caller).status_code == 409


def test_strangers_change_nothing(caller: Caller, stranger: Caller) -> None:
    version = hosted(owner=caller.account, slug="shown")
    path = f"/v1/models/{version.model.full_slug}"
    assert stranger.delete(path).status_code == 403
    assert stranger.delete(f"{path}/versions/{version.pk}").status_code == 403


def test_a_public_model_and_one_with_versions_stay(caller: Caller) -> None:
    version = owned(caller)
    path = f"/v1/models/{version.model.full_slug}"
    assert "delete them first" in caller.delete(path).json()["detail"]
    Model.objects.update(visibility="public")
    assert caller.delete(path).status_code == 409
    assert caller.delete(f"{path}/versions/{version.pk}").status_code == 409


def test_a_deleted_version_is_out_of_use_and_its_runs_stay(caller: Caller) -> None:
    version = owned(caller)
    run = predict(caller.account, version)
    path = f"/v1/models/{version.model.full_slug}/versions/{version.pk}"
    assert "cancel" in caller.delete(path).json()["detail"]
    caller.post(f"/v1/predictions/{run.pk}/cancel")
    assert caller.delete(path).status_code == 202
    assert caller.get(path).status_code == 404
    assert caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "a"}}).status_code == 422
    assert caller.get(f"/v1/models/{version.model.full_slug}").json()["latest_version"] is None
    assert caller.get(f"/v1/predictions/{run.pk}").json()["version"] == version.pk


def test_a_version_that_somebody_else_ran_stays(caller: Caller, stranger: Caller) -> None:
    version = owned(caller)
    run = predict(stranger.account, version)
    Prediction.objects.filter(pk=run.pk).update(status="canceled", completed_at=run.created_at)
    answer = caller.delete(f"/v1/models/{version.model.full_slug}/versions/{version.pk}")
    assert answer.status_code == 409


@pytest.mark.parametrize("body", ["quick reader", '"quick reader"'])
def test_search_takes_plain_and_quoted_texts(caller: Caller, body: str) -> None:
    found = hosted(slug="reader")
    Model.objects.filter(pk=found.model_id).update(description="A quick one")
    hosted(slug="writer", version_id="b" * 64)
    answer = query(caller, body)
    assert [one["name"] for one in answer.json()["results"]] == ["reader"]


def test_search_shows_nobody_a_strangers_private_model(caller: Caller, stranger: Caller) -> None:
    owned(stranger)
    assert query(caller, "mine").json()["results"] == []
    assert [one["name"] for one in query(stranger, "mine").json()["results"]] == ["mine"]
    assert query(caller, "").status_code == 400


def test_search_over_everything_names_models_and_collections(caller: Caller) -> None:
    version = hosted(slug="reader")
    Collection.objects.create(slug="reading", name="Reading", description="d").members.add(version.model)
    found = caller.get("/v1/search?query=read").json()
    assert [one["model"]["name"] for one in found["models"]] == ["reader"]
    assert found["collections"][0]["models"] == ["demo/reader"]
    assert caller.get("/v1/search?query=read&limit=51").status_code == 400


def test_a_collection_shows_only_what_its_reader_may_see(caller: Caller, stranger: Caller) -> None:
    box = Collection.objects.create(slug="box", name="Box", description="d", full_description="long")
    box.members.add(owned(stranger).model, hosted(slug="open", version_id="c" * 64).model)
    assert [one["name"] for one in caller.get("/v1/collections/box").json()["models"]] == ["open"]
    assert caller.get("/v1/collections").json()["results"] == [{"name": "Box", "slug": "box", "description": "d"}]
    assert caller.get("/v1/collections/none").status_code == 404


def test_models_are_sorted_by_their_newest_version_or_their_own_age(caller: Caller) -> None:
    first = hosted(slug="first", version_id="1" * 64)
    hosted(slug="second", version_id="2" * 64)
    Version.objects.create(id="3" * 64, model=first.model, cog_version="0", openapi_schema={}, build_path="none")

    def names(question: str) -> list[str]:
        return [one["name"] for one in caller.get(f"/v1/models?{question}").json()["results"]]

    assert names("") == ["first", "second"]
    assert names("sort_by=model_created_at") == ["second", "first"]
    assert names("sort_by=model_created_at&sort_direction=asc") == ["first", "second"]
    assert caller.get("/v1/models?sort_by=name").status_code == 400


def test_an_account_that_asks_too_often_waits_for_the_next_minute(
    caller: Caller, stranger: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execution.limits.CREATIONS_A_MINUTE", 2)
    clock = SimpleNamespace(time=lambda: 6_000_015.0)
    monkeypatch.setattr("marketplace.lib.rates.time", clock)
    version = hosted()

    def create(by: Caller) -> Any:
        return by.post("/v1/predictions", {"version": version.pk, "input": {"text": "a"}})

    assert [create(caller).status_code for _ in range(3)] == [201, 201, 429]
    refused = create(caller)
    assert refused.json()["detail"] == "Request was throttled. Expected available in 45 seconds."
    assert refused.headers["Retry-After"] == "45"
    assert caller.get("/v1/account").status_code == 200  # another kind of request has its own count
    assert create(stranger).status_code == 201
    clock.time = lambda: 6_000_060.0
    assert create(caller).status_code == 201


def test_the_secret_of_webhooks_is_each_accounts_own(caller: Caller, stranger: Caller) -> None:
    mine = caller.get("/v1/webhooks/default/secret").json()["key"]
    assert mine == caller.get("/v1/webhooks/default/secret").json()["key"]
    assert mine != stranger.get("/v1/webhooks/default/secret").json()["key"]
