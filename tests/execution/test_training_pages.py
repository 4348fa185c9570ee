"""The pages of trainings, as a browser without JavaScript sees them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from billing.models import Charge
from execution.models import File, Prediction
from execution.services import attempts, endings
from execution.states import Status
from marketplace.models import Account, Model, Version
from tests.factories.execution import hosted, payer, train, trainable
from tests.factories.marketplace import user

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return payer()


@pytest.fixture
def version() -> Version:
    return trainable()


@pytest.fixture
def browser(account: Account) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user("payer@example.com"))
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def given(**more: Any) -> dict[str, Any]:
    return {"run-data": SimpleUploadedFile("words.txt", b"a b"), "run-rounds": "2", "to-slug": "weather", **more}


def test_a_models_page_leads_to_the_form_with_the_price(browser: Client, version: Version) -> None:
    page = text(browser.get(reverse("model_detail", args=["demo", "trainer"])))
    assert reverse("train", args=[version.pk]) in page
    hosted(slug="plain")
    assert "Train it" not in text(browser.get(reverse("model_detail", args=["demo", "plain"])))
    form = text(browser.get(reverse("train", args=[version.pk])))
    assert "$0.0001" in form
    assert all(name in form for name in ("run-data", "run-rounds", "to-slug"))
    assert "run-text" not in form  # that is the predictor's


def test_a_form_begins_a_training_into_a_new_private_model(browser: Client, account: Account, version: Version) -> None:
    answer = browser.post(reverse("train", args=[version.pk]), given())
    row = Prediction.objects.get()
    assert answer.headers["Location"] == reverse("training_detail", args=[row.pk])
    assert (row.kind, row.source, row.input["rounds"]) == ("training", "web", 2)
    model = Model.objects.get(slug="weather")
    assert (row.destination, model.visibility, model.publisher.account) == (model, "private", account)
    assert File.objects.get(prediction=row).name == "words.txt"
    page = text(browser.get(answer.headers["Location"]))
    assert "payer/weather" in page
    assert "hx-get" in page
    assert row.pk[:12] in text(browser.get(reverse("trainings")))
    assert row.pk[:12] not in text(browser.get(reverse("predictions")))
    # The same name again goes to the same model.
    browser.post(reverse("train", args=[version.pk]), given())
    assert [one.destination for one in Prediction.objects.all()] == [model, model]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"to-slug": "Bad Name"}, "lower-case letters"), ({"to-slug": ""}, "required"), ({"run-data": ""}, "required")],
)
def test_a_bad_form_comes_back_with_the_reason(
    browser: Client, version: Version, change: dict[str, Any], says: str
) -> None:
    answer = browser.post(reverse("train", args=[version.pk]), given(**change))
    assert (answer.status_code, says in text(answer)) == (422, True)
    assert not Prediction.objects.exists()


def test_a_refusal_leaves_no_empty_model(version: Version) -> None:
    payer("0", email="poor@example.com", slug="poor")
    client = Client()
    client.force_login(user("poor@example.com"))
    answer = client.post(reverse("train", args=[version.pk]), given())
    assert (answer.status_code, "Not enough credit" in text(answer)) == (422, True)
    assert not Model.objects.filter(slug="weather").exists()


def test_the_page_shows_the_end_the_cost_and_the_new_version(
    browser: Client, account: Account, version: Version
) -> None:
    row = train(account, version)
    made = Version.objects.create(
        id="f" * 64, model=Model.objects.get(slug="mine"), cog_version="0.23.1", openapi_schema={}, build_path="x"
    )
    attempt = attempts.begin(prediction_id=row.pk, owner="w", hardware="cpu")
    assert attempt is not None
    attempts.started(attempt)
    output = {"weights": "https://example.com/w", "accuracy": 0.75, "version": f"payer/mine:{made.pk}"}
    endings.end(
        prediction_id=row.pk, status=Status.SUCCEEDED, run_ms=2000, changes={"output": output, "logs": "learnt"}
    )
    page = text(browser.get(reverse("training_detail", args=[row.pk])))
    assert reverse("predict", args=[made.pk]) in page
    assert all(part in page for part in ("0.75", "learnt", "2.000 s", "$0.0002"))
    assert "hx-get" not in page
    assert reverse("training_detail", args=[Charge.objects.get().reference]) in text(browser.get(reverse("usage")))


def test_a_cancel_ends_it(browser: Client, account: Account, version: Version) -> None:
    row = train(account, version)
    assert browser.post(reverse("training_cancel", args=[row.pk])).status_code == 302
    row.refresh_from_db()
    assert row.status == "canceled"
    assert "canceled" in text(browser.get(reverse("training_detail", args=[row.pk])))
