"""Examples: what a publisher picks is shown, and nothing else is."""

import datetime as dt
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from execution.models import File, Prediction
from execution.services import files, retention
from marketplace.models import Model, Version
from tests.execution.api.conftest import Caller
from tests.factories.execution import SCHEMA, hosted, predict
from tests.factories.marketplace import user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version(caller: Caller) -> Version:
    return hosted(owner=caller.account, slug="shown")


def done(by: Caller, version: Version, **changes: Any) -> Prediction:
    """A prediction that has succeeded."""
    row = predict(by.account, version, given=changes.pop("given", None))
    ended = {"status": "succeeded", "completed_at": timezone.now(), "output": "HI", "logs": "a line\n"}
    Prediction.objects.filter(pk=row.pk).update(**{**ended, **changes})
    row.refresh_from_db()
    return row


def path(version: Version, rest: str = "") -> str:
    return f"/v1/models/{version.model.full_slug}{rest}"


def patch(by: Caller, version: Version, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {by.secret}"}
    return by.client.patch(path(version), body, content_type="application/json", headers=headers)


def test_a_publisher_shows_predictions_and_others_see_them(caller: Caller, stranger: Caller, version: Version) -> None:
    first, second = done(caller, version), done(caller, version)
    assert stranger.get(path(version, "/examples")).json()["results"] == []
    made = caller.post(path(version, "/examples"), {"prediction": first.pk})
    assert (made.status_code, made.json()["id"]) == (201, first.pk)
    assert patch(caller, version, default_example=second.pk).json()["default_example"]["id"] == second.pk
    seen = stranger.get(path(version, "/examples")).json()["results"]
    assert [one["id"] for one in seen] == [second.pk, first.pk]
    assert (seen[0]["input"]["text"], seen[0]["output"], seen[0]["logs"]) == ("hi", "HI", "a line\n")
    assert stranger.get(path(version)).json()["default_example"]["output"] == "HI"
    # Shown, and still not the stranger's: its own address stays shut.
    assert stranger.get(f"/v1/predictions/{second.pk}").status_code == 404


def test_there_is_one_default_and_it_can_be_taken_back(caller: Caller, version: Version) -> None:
    first, second = done(caller, version), done(caller, version)
    patch(caller, version, default_example=first.pk)
    patch(caller, version, default_example=second.pk)
    kinds = dict(Prediction.objects.values_list("pk", "example"))
    assert kinds == {first.pk: "shown", second.pk: "default"}
    assert patch(caller, version, default_example=None).json()["default_example"] is None
    assert len(caller.get(path(version, "/examples")).json()["results"]) == 2
    assert caller.delete(path(version, f"/examples/{first.pk}")).status_code == 204
    assert caller.delete(path(version, f"/examples/{first.pk}")).status_code == 404
    assert [one["id"] for one in caller.get(path(version, "/examples")).json()["results"]] == [second.pk]


def test_only_ones_own_runs_of_ones_own_model_can_be_shown(caller: Caller, stranger: Caller, version: Version) -> None:
    strangers_run = done(stranger, version)
    assert caller.post(path(version, "/examples"), {"prediction": strangers_run.pk}).status_code == 404
    assert stranger.post(path(version, "/examples"), {"prediction": strangers_run.pk}).status_code == 403
    assert patch(stranger, version, default_example=strangers_run.pk).status_code == 403
    other = hosted(owner=caller.account, slug="other", version_id="d" * 64)
    elsewhere = done(caller, other)
    answer = caller.post(path(version, "/examples"), {"prediction": elsewhere.pk})
    assert (answer.status_code, "not of payer/shown" in answer.json()["detail"]) == (422, True)
    mine = done(caller, version)
    assert stranger.delete(path(version, f"/examples/{mine.pk}")).status_code == 403
    assert not Prediction.objects.exclude(example="").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "failed"}, "is failed"),
        ({"data_removed": True, "input": {}, "output": None}, "have been removed"),
        ({"input": {"text": "a", "image": "turnpike-file:" + "z" * 26}}, "file of its input"),
    ],
)
def test_what_cannot_be_shown_is_told_why(caller: Caller, version: Version, changes: dict[str, Any], says: str) -> None:
    row = done(caller, version, **changes)
    answer = caller.post(path(version, "/examples"), {"prediction": row.pk})
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.json()


def test_a_secret_is_not_shown(caller: Caller) -> None:
    schema = {**SCHEMA, "components": {"schemas": {**SCHEMA["components"]["schemas"], "Input": {
        "type": "object", "properties": {"token": {"type": "string", "format": "password", "x-cog-secret": True}}
    }}}}  # fmt: skip
    version = hosted(owner=caller.account, schema=schema)
    row = done(caller, version, given={"token": "s3cret"})
    answer = caller.post(path(version, "/examples"), {"prediction": row.pk})
    assert (answer.status_code, "token" in answer.json()["detail"]) == (422, True)
    assert "s3cret" not in answer.content.decode()


def test_a_private_models_examples_are_its_publishers_alone(caller: Caller, stranger: Caller, version: Version) -> None:
    Model.objects.update(visibility="private")
    row = done(caller, version)
    patch(caller, version, default_example=row.pk)
    assert len(caller.get(path(version, "/examples")).json()["results"]) == 1
    assert stranger.get(path(version, "/examples")).status_code == 404
    browser = Client()
    browser.force_login(user("eve@example.com"))
    mine = hosted(owner=stranger.account, slug="mine", version_id="e" * 64)
    assert browser.get(f"{reverse('predict', args=[mine.pk])}?example={row.pk}").status_code == 404


def test_an_example_outlives_uploads_and_retention(caller: Caller, stranger: Caller, version: Version) -> None:
    upload = caller.upload("/v1/files", content=SimpleUploadedFile("cat.png", b"cat", "image/png")).json()
    row = done(caller, version, given={"text": "a", "image": upload["urls"]["get"]})
    forgotten = done(caller, version)
    patch(caller, version, default_example=row.pk)
    assert caller.delete(f"/v1/files/{upload['id']}").status_code == 204
    later = timezone.now() + dt.timedelta(days=400)
    assert retention.remove_old_data(now=later) == 1
    forgotten.refresh_from_db()
    assert forgotten.data_removed
    shown = stranger.get(path(version)).json()["default_example"]
    assert shown["output"] == "HI"
    got = stranger.client.get(shown["input"]["image"].removeprefix("http://testserver"))
    assert got.status_code == 200
    caller.delete(path(version, f"/examples/{row.pk}"))
    assert retention.remove_old_data(now=later) == 1  # no longer shown: it goes as others do
    assert not File.objects.exists()


def test_anybody_runs_an_example_with_its_file(caller: Caller, stranger: Caller, version: Version) -> None:
    picture = files.store(account_id=caller.account.pk, content=io.BytesIO(b"cat"), name="cat.png", content_type="")
    row = done(caller, version, given={"text": "meow", "image": files.mark(picture)})
    patch(caller, version, default_example=row.pk)
    shown = stranger.get(path(version)).json()["default_example"]["input"]
    made = stranger.post(path(version, "/predictions"), {"input": shown})
    assert made.status_code == 201, made.json()
    copied = File.objects.get(account=stranger.account)
    assert (copied.name, copied.prediction_id) == ("cat.png", made.json()["id"])
    forged = {**shown, "image": shown["image"].replace("expiry=", "expiry=9")}
    refused = stranger.post(path(version, "/predictions"), {"input": forged})
    assert (refused.status_code, "signature" in refused.json()["detail"]) == (422, True)


def test_the_pages_pick_show_and_begin_with_it(caller: Caller, stranger: Caller, version: Version) -> None:
    picture = files.store(account_id=caller.account.pk, content=io.BytesIO(b"cat"), name="cat.png", content_type="")
    row = done(caller, version, given={"text": "meow", "times": 3, "image": files.mark(picture)}, output="<i>purr</i>")
    publisher, visitor = Client(), Client()
    publisher.force_login(user("payer@example.com"))
    visitor.force_login(user("eve@example.com"))
    page = publisher.get(reverse("prediction_detail", args=[row.pk])).content.decode()
    assert "Make it the default example" in page
    act = reverse("prediction_example", args=[row.pk])
    assert publisher.post(act, {"as": "all"}).status_code == 400
    assert publisher.post(act, {"as": "default"}).status_code == 302
    seen = visitor.get(reverse("model_detail", args=["payer", "shown"])).content.decode()
    assert "&lt;i&gt;purr&lt;/i&gt;" in seen
    assert f"?example={row.pk}" in seen
    form = visitor.get(f"{reverse('predict', args=[version.pk])}?example={row.pk}").content.decode()
    assert 'value="3"' in form
    assert "cat.png, unless you choose another" in form
    link = seen.split('name="run-image-link" value="')[1].split('"')[0].replace("&amp;", "&")
    given = {"run-text": "meow", "run-times": "3", "run-image-link": link}
    answer = visitor.post(reverse("predict", args=[version.pk]), given)
    made = Prediction.objects.get(account=stranger.account)
    assert answer.headers["Location"] == reverse("prediction_detail", args=[made.pk])
    assert made.input["image"] == files.mark(File.objects.get(account=stranger.account))
    assert "default example" not in visitor.get(answer.headers["Location"]).content.decode()
    assert publisher.post(act, {"as": "nothing"}).status_code == 302
    assert f"?example={row.pk}" not in visitor.get(reverse("model_detail", args=["payer", "shown"])).content.decode()
