"""The hosting pages, as a browser without JavaScript sees them."""

import asyncio
import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from execution.models import Build, File, Prediction, Webhook
from execution.services import endings, files
from execution.states import Status
from marketplace.lib import pool, sse
from marketplace.models import Account, Model, Version
from tests.execution.api.conftest import _pool_lets_go_of_the_database, read
from tests.factories.execution import hardware, hosted, payer, predict
from tests.factories.marketplace import user

__all__ = ("_pool_lets_go_of_the_database",)

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return payer()


@pytest.fixture
def browser(account: Account) -> Client:
    client = Client()
    client.force_login(user("payer@example.com"))
    return client


def archive(**entries: str) -> SimpleUploadedFile:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in entries.items():
            packed.writestr(name, text)
    return SimpleUploadedFile("model.zip", content.getvalue(), "application/zip")


def text(response: Any) -> str:
    return response.content.decode()


class TestPublish:
    def test_an_upload_becomes_a_build_of_a_new_model(self, browser: Client, account: Account) -> None:
        hardware()
        assert browser.get(reverse("publish")).status_code == 200
        given = {"slug": "shapes", "hardware": "cpu", "visibility": "private", "archive": archive(**{"cog.yaml": "x"})}
        answer = browser.post(reverse("publish"), given)
        build = Build.objects.get()
        assert answer.headers["Location"] == reverse("build_detail", args=[build.pk])
        assert build.status == "queued"
        assert build.account == account
        model = Model.objects.get()
        assert (model.full_slug, model.visibility, model.royalty_bps) == ("payer/shapes", "private", 1000)
        page = text(browser.get(answer.headers["Location"]))
        assert "queued" in page
        assert "hx-get" in page

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"slug": "Bad Name"}, "lower-case letters"),
            ({"archive": SimpleUploadedFile("a.zip", b"not a zip")}, "not a zip archive"),
            ({"archive": SimpleUploadedFile("a.zip", b"")}, "empty"),
            ({"hardware": "gpu-none"}, "valid choice"),
        ],
    )
    def test_a_bad_upload_is_told_what_to_change(self, browser: Client, change: dict[str, Any], says: str) -> None:
        hardware()
        given = {"slug": "shapes", "hardware": "cpu", "visibility": "public", "archive": archive(a="b"), **change}
        answer = browser.post(reverse("publish"), given)
        assert answer.status_code == 422
        assert says in text(answer)
        assert not Build.objects.exists()

    def test_a_repository_becomes_a_build_and_its_commit_is_shown(
        self, browser: Client, account: Account, settings: Any
    ) -> None:
        settings.PRIVATE_ORIGINS = frozenset({"127.0.0.1:9"})
        hardware()
        given = {"slug": "shapes", "hardware": "cpu", "visibility": "private", "source": "git"}
        assert "Say where the repository is" in text(browser.post(reverse("publish"), given))
        given["git_url"] = "https://name:word@host/m"
        assert "Leave name and password out" in text(browser.post(reverse("publish"), given))
        given["git_url"] = "http://127.0.0.1:9/model.git"
        answer = browser.post(reverse("publish"), given)
        build = Build.objects.get()
        assert (build.source_url, build.source_ref, build.source_path) == (given["git_url"], "HEAD", "")
        Build.objects.update(source_revision="c0ffee" * 6 + "beef")
        page = text(browser.get(answer.headers["Location"]))
        assert "c0ffeec0ffee" in page
        assert given["git_url"] in page

    def test_an_image_is_offered_where_it_may_come_from_somewhere(
        self, browser: Client, account: Account, settings: Any
    ) -> None:
        hardware()
        assert "registry/repository" not in text(browser.get(reverse("publish")))
        settings.IMAGE_REGISTRIES = frozenset({"registry.example.com"})
        assert "from registry.example.com." in text(browser.get(reverse("publish")))
        given = {"slug": "shapes", "hardware": "cpu", "visibility": "private", "source": "image"}
        assert "Say where the image is" in text(browser.post(reverse("publish"), given))
        given |= {"image": "registry.example.com/m/model", "image_username": "maker", "image_password": "a-canary"}
        answer = browser.post(reverse("publish"), given)
        assert answer.status_code == 302
        assert Build.objects.get().source_url == "registry.example.com/m/model:latest"
        assert "canary" not in text(browser.get(answer.headers["Location"]))

    def test_on_a_public_address_only_trusted_publishers_may(
        self, browser: Client, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hardware()
        monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104  what is under test
        given = {"slug": "shapes", "hardware": "cpu", "visibility": "public", "archive": archive(a="b")}
        answer = browser.post(reverse("publish"), given)
        assert "marked as trusted" in text(answer)
        Account.objects.filter(pk=account.pk).update(is_trusted=True)
        given["archive"] = archive(a="b")
        assert browser.post(reverse("publish"), given).status_code == 302

    def test_a_build_that_failed_says_why(self, browser: Client, account: Account) -> None:
        version = hosted(owner=account)
        build = Build.objects.create(
            account=account,
            model=version.model,
            source_path="x",
            source_name="a.zip",
            source_sha256="0" * 64,
            status="failed",
            error="cog.yaml <is> missing",
            log="line 1\n",
            completed_at=timezone.now(),
        )
        page = text(browser.get(reverse("build_detail", args=[build.pk])))
        assert "cog.yaml &lt;is&gt; missing" in page
        assert "line 1" in page
        assert "hx-get" not in page
        assert "a.zip" in text(browser.get(reverse("my_models")))


class TestBuildLog:
    def build(self, account: Account, **more: Any) -> Build:
        given = {"status": "building", "attempts": 1, "log": "line 1\nline 2\n", **more}
        return Build.objects.create(
            account=account,
            model=hosted(owner=account).model,
            source_path="x",
            source_name="a.zip",
            source_sha256="0" * 64,
            **given,
        )

    def events(self, build: Build, browser: Client, *, since: str = "", **headers: str) -> list[tuple[str, str, str]]:
        """(name, data, id) of each event; the build must have ended, or the stream would not."""
        answer = browser.get(f"{reverse('build_log', args=[build.pk])}?from={since}", headers=headers)
        assert answer.headers["Content-Type"] == "text/event-stream"
        body = read(answer)
        return [(one.event or "", one.data, one.id or "") for one in sse.Parser().feed(body)]

    def test_it_is_told_from_where_the_reader_was(self, browser: Client, account: Account) -> None:
        build = self.build(account, status="succeeded", completed_at=timezone.now())
        told = [("log", "line 1\nline 2\n", "1:14"), ("done", "succeeded", "1:14")]
        assert self.events(build, browser) == told
        assert self.events(build, browser, since="1:7") == [("log", "line 2\n", "1:14"), told[1]]
        assert self.events(build, browser, since="1:0", **{"Last-Event-ID": "1:14"}) == [told[1]]
        assert self.events(build, browser, since="no:such") == [("restart", "", "1:0"), *told]

    def test_another_attempt_begins_the_log_anew(self, browser: Client, account: Account) -> None:
        build = self.build(account, status="failed", attempts=2, log="again\n", completed_at=timezone.now())
        events = self.events(build, browser, since="1:14")
        assert events == [("restart", "", "2:0"), ("log", "again\n", "2:6"), ("done", "failed", "2:6")]

    @pytest.mark.django_db(transaction=True)
    def test_lines_come_while_the_build_goes_on(self, browser: Client, account: Account) -> None:
        build = self.build(account)
        answer: Any = browser.get(f"{reverse('build_log', args=[build.pk])}?from=1:14")

        async def read_on() -> list[bytes]:
            pieces: list[bytes] = []
            rows = Build.objects.filter(pk=build.pk)
            over = {"status": "succeeded", "completed_at": timezone.now()}
            changes = iter(({"log": "line 1\nline 2\nline 3\n"}, over))
            await pool.run(rows.update, **next(changes))
            async for piece in answer:
                pieces.append(bytes(piece))
                if change := next(changes, None):
                    await pool.run(rows.update, **change)
            return pieces

        pieces = asyncio.run(read_on())
        assert [piece.splitlines()[0] for piece in pieces] == [b"event: log", b"event: done"]
        assert b"data: line 3" in pieces[0]


class TestPredict:
    @pytest.fixture
    def version(self) -> Version:
        return hosted()

    def test_the_form_follows_the_schema(self, browser: Client, version: Version) -> None:
        page = text(browser.get(reverse("predict", args=[version.pk])))
        assert page.index('name="run-text"') < page.index('name="run-times"') < page.index('name="run-image"')
        assert 'max="5"' in page
        assert 'type="file"' in page
        assert "what to say" in page

    def test_it_runs_with_an_uploaded_file(self, browser: Client, version: Version, account: Account) -> None:
        given = {"run-text": "hello", "run-times": "2", "run-image": SimpleUploadedFile("cat.png", b"x", "image/png")}
        answer = browser.post(reverse("predict", args=[version.pk]), given)
        made = Prediction.objects.get()
        assert answer.headers["Location"] == reverse("prediction_detail", args=[made.pk])
        assert made.source == "web"
        assert made.account == account
        assert made.input == {"text": "hello", "times": 2, "image": files.mark(File.objects.get())}
        assert File.objects.get().prediction == made
        page = text(browser.get(answer.headers["Location"]))
        assert "cat.png" in page
        assert "Cancel" in page
        assert made.pk[:12] in text(browser.get(reverse("predictions")))

    @pytest.mark.parametrize(
        ("given", "says"),
        [({}, "This field is required"), ({"run-text": "a", "run-times": "9"}, "less than or equal to 5")],
    )
    def test_a_bad_input_brings_the_form_back(
        self, browser: Client, version: Version, given: dict[str, str], says: str
    ) -> None:
        answer = browser.post(reverse("predict", args=[version.pk]), given)
        assert answer.status_code == 422
        assert says in text(answer)
        assert not Prediction.objects.exists()

    def test_an_empty_wallet_is_said_on_the_form(self, version: Version) -> None:
        payer("0", email="poor@example.com", slug="poor")
        poor = Client()
        poor.force_login(user("poor@example.com"))
        answer = poor.post(reverse("predict", args=[version.pk]), {"run-text": "a"})
        assert "Not enough credit" in text(answer)

    def test_the_form_is_on_the_models_page(self, browser: Client, version: Version) -> None:
        page = text(browser.get(reverse("model_detail", args=["demo", "echo"])))
        assert 'name="run-text"' in page
        assert 'name="run-text"' in text(Client().get(reverse("model_detail", args=["demo", "echo"])))


class TestPrediction:
    def done(self, made: Prediction, **changes: Any) -> str:
        ended = {"status": "succeeded", "completed_at": timezone.now(), "amount_nano": 12_300, "run_ms": 123}
        Prediction.objects.filter(pk=made.pk).update(**{**ended, **changes})
        return reverse("prediction_detail", args=[made.pk])

    def test_what_came_out_and_what_it_cost(self, browser: Client, account: Account) -> None:
        made = predict(account, hosted())
        page = text(browser.get(self.done(made, output="<b>hello</b>", logs="line\n")))
        assert "&lt;b&gt;hello&lt;/b&gt;" in page
        assert "0.123 s" in page
        assert "$0.0000123" in page
        assert "hx-get" not in page

    def test_what_became_of_its_webhook(self, browser: Client, account: Account) -> None:
        made = predict(account, hosted())
        address = self.done(made)
        assert "Webhook" not in text(browser.get(address))
        told = Webhook.objects.create(
            prediction=made, account=account, url="https://a.example/hook", base="http://testserver", state="given_up",
            tries=9, outcome="answered 500",
        )  # fmt: skip
        page = text(browser.get(address))
        assert "given up" in page
        assert "answered 500, 9 tries" in page
        Webhook.objects.filter(pk=told.pk).update(state="told", outcome="")
        assert "delivered" in text(browser.get(address))

    def test_boxes_lie_over_the_image(self, browser: Client, account: Account) -> None:
        picture = files.store(account_id=account.pk, content=io.BytesIO(b"x"), name="cat.png", content_type="image/png")
        made = predict(account, hosted(), given={"text": "a", "image": files.mark(picture)})
        output = [{"label": "</script>circle", "box": [1, 2, 3, 4]}]
        page = text(browser.get(self.done(made, output=output)))
        assert 'data-boxes="prediction-boxes"' in page
        assert f"/v1/files/{picture.pk}/download" in page
        assert "</script>circle" not in page

    def test_cancel(self, browser: Client, account: Account) -> None:
        made = predict(account, hosted())
        browser.post(reverse("prediction_cancel", args=[made.pk]))
        assert Prediction.objects.get().status == "canceled"

    def test_its_cost_is_taken_apart_when_it_has_ended(self, browser: Client, account: Account) -> None:
        prediction = predict(account, hosted(owner=account))
        address = reverse("prediction_detail", args=[prediction.pk])
        assert "when it ends" in text(browser.get(address))
        Prediction.objects.filter(pk=prediction.pk).update(status=Status.PROCESSING, started_at=timezone.now())
        endings.end(prediction_id=prediction.pk, status=Status.SUCCEEDED, run_ms=1500, changes={"output": "done"})
        page = text(browser.get(address))
        assert "milliseconds of hardware" in page
        assert "1,500" in page
        assert "Given back" in page
        assert "when it ends" not in page

    def test_the_live_part_comes_alone(self, browser: Client, account: Account) -> None:
        made = predict(account, hosted())
        part = browser.get(reverse("prediction_detail", args=[made.pk]), headers={"HX-Request": "true"})
        assert text(part).lstrip().startswith("<div")
        assert "starting" in text(part)


@pytest.mark.parametrize("name", ["build_detail", "prediction_detail"])
def test_a_strangers_is_a_404(browser: Client, name: str) -> None:
    owner = payer(email="owner@example.com", slug="owner")
    version = hosted(owner=owner)
    build = Build.objects.create(
        account=owner, model=version.model, source_path="x", source_name="a.zip", source_sha256="0" * 64
    )
    row: Any = build if name == "build_detail" else predict(owner, version)
    assert browser.get(reverse(name, args=[row.pk])).status_code == 404
    assert (
        browser.post(
            reverse({"build_detail": "build_cancel", "prediction_detail": "prediction_cancel"}[name], args=[row.pk])
        ).status_code
        == 404
    )
    assert Client().get(reverse(name, args=[row.pk])).status_code == 302
