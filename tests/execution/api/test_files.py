import io
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from execution import limits
from execution.models import File, Prediction
from execution.services import files, retention
from marketplace.lib.errors import PayloadTooLarge
from tests.execution.api.conftest import Caller, read
from tests.factories.execution import hosted, predict

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "http://testserver"


def stored(
    caller: Caller, content: bytes = b"hello", name: str = "a.png", kind: str = "image/png", **more: object
) -> File:
    return files.store(
        account_id=caller.account.pk,
        content=io.BytesIO(content),
        name=name,
        content_type=kind,
        **more,  # type: ignore[arg-type]
    )


def local(url: str) -> str:
    return url.removeprefix(BASE)


def test_an_upload_is_stored_and_described(caller: Caller) -> None:
    answer = caller.upload(
        "/v1/files", content=SimpleUploadedFile("cat.png", b"\x89PNG", "image/png"), metadata='{"a": 1}'
    )
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["name"], body["content_type"], body["size"], body["metadata"]) == ("cat.png", "image/png", 4, {"a": 1})
    assert body["etag"] == body["checksums"]["sha256"]
    assert body["urls"]["get"] == f"{BASE}/v1/files/{body['id']}"
    assert caller.get(f"/v1/files/{body['id']}").json() == body
    assert caller.get("/v1/files").json()["results"] == [body]
    assert caller.delete(f"/v1/files/{body['id']}").status_code == 204
    assert caller.get(f"/v1/files/{body['id']}").status_code == 404


def test_metadata_comes_as_a_part_or_as_fields_too(caller: Caller) -> None:
    part = SimpleUploadedFile("metadata", json.dumps({"b": 2}).encode(), "application/json")
    content = SimpleUploadedFile("x", b"1")
    assert caller.upload("/v1/files", content=content, metadata=part).json()["metadata"] == {"b": 2}
    content = SimpleUploadedFile("x", b"1")
    assert caller.upload("/v1/files", content=content, **{"metadata[c]": "3"}).json()["metadata"] == {"c": "3"}


@pytest.mark.parametrize(
    ("parts", "says"),
    [({}, "`content`, the file, is missing"), ({"content": "text"}, "is missing")],
)
def test_an_upload_without_a_file_is_a_400(caller: Caller, parts: dict[str, str], says: str) -> None:
    answer = caller.upload("/v1/files", **parts)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_a_file_that_is_too_large_leaves_nothing(caller: Caller) -> None:
    with pytest.raises(PayloadTooLarge, match="less than 1MB"):
        stored(caller, b"x" * (limits.MEBIBYTE + 1), max_bytes=limits.MEBIBYTE)
    assert not File.objects.exists()


def test_a_strangers_file_is_a_404(caller: Caller, stranger: Caller) -> None:
    file = stored(caller)
    assert stranger.get(f"/v1/files/{file.pk}").status_code == 404
    assert stranger.delete(f"/v1/files/{file.pk}").status_code == 404
    assert stranger.get("/v1/files").json()["results"] == []


class TestLinks:
    def test_a_link_opens_without_a_header(self, caller: Caller) -> None:
        link = files.link(stored(caller, b"0123456789"), base=BASE)
        answer = caller.client.get(local(link))
        assert answer.status_code == 200
        assert read(answer) == b"0123456789"
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        query = parse_qs(urlsplit(link).query)
        assert set(query) == {"owner", "expiry", "signature"}

    def test_a_range(self, caller: Caller) -> None:
        link = local(files.link(stored(caller, b"0123456789"), base=BASE))
        for asked, content, described in (
            ("bytes=2-4", b"234", "2-4"),
            ("bytes=7-", b"789", "7-9"),
            ("bytes=-2", b"89", "8-9"),
        ):
            answer = caller.client.get(link, headers={"Range": asked})
            assert (answer.status_code, read(answer)) == (206, content)
            assert answer.headers["Content-Range"] == f"bytes {described}/10"
        assert caller.client.get(link, headers={"Range": "bytes=50-60"}).status_code == 200

    @pytest.mark.parametrize(
        "change", [("signature=", "signature=x"), ("expiry=", "expiry=9"), ("owner=", "owner=1"), ("?", "?x=")]
    )
    def test_a_changed_link_is_refused(self, caller: Caller, change: tuple[str, str]) -> None:
        link = local(files.link(stored(caller), base=BASE))
        assert caller.client.get(link.replace(*change)).status_code == 403

    def test_a_link_ends(self, caller: Caller) -> None:
        link = files.link(stored(caller), base=BASE, now=timezone.now() - limits.LINK_LIFE * 2)
        answer = caller.client.get(local(link))
        assert answer.status_code == 403
        assert "expired" in answer.json()["detail"]

    def test_what_a_browser_could_run_is_only_saved(self, caller: Caller) -> None:
        for kind in ("text/html", "image/svg+xml", "application/javascript", "nonsense"):
            answer = caller.client.get(local(files.link(stored(caller, kind=kind), base=BASE)))
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert "sandbox" in answer.headers["Content-Security-Policy"]


class TestInPredictions:
    def test_an_uploaded_file_is_taken_by_its_url(self, caller: Caller) -> None:
        version, file = hosted(), stored(caller)
        for url in (f"{BASE}/v1/files/{file.pk}", files.link(file, base=BASE)):
            answer = caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "a", "image": url}})
            assert answer.status_code == 201, answer.content
            assert Prediction.objects.get(pk=answer.json()["id"]).input["image"] == files.mark(file)
            assert answer.json()["input"]["image"].startswith(f"{BASE}/v1/files/{file.pk}/download")

    def test_a_strangers_file_is_not_taken(self, caller: Caller, stranger: Caller) -> None:
        version, file = hosted(), stored(stranger)
        for url in (f"{BASE}/v1/files/{file.pk}", files.mark(file)):
            answer = caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "a", "image": url}})
            assert answer.status_code == 422
            assert "there is no such file" in answer.json()["detail"]

    def test_a_strangers_file_whose_signed_link_the_caller_holds_is_copied(
        self, caller: Caller, stranger: Caller
    ) -> None:
        version, file = hosted(), stored(stranger)
        url = files.link(file, base=BASE)
        forged = caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "a", "image": f"{url}x"}})
        assert forged.status_code == 422
        assert File.objects.count() == 1
        answer = caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "a", "image": url}})
        assert answer.status_code == 201
        copied = File.objects.exclude(pk=file.pk).get()
        assert (copied.account_id, copied.sha256, copied.size) == (caller.account.pk, file.sha256, file.size)

    def test_a_name_of_a_strangers_file_in_an_output_is_only_text(self, caller: Caller, stranger: Caller) -> None:
        made, theirs = predict(caller.account, hosted()), stored(stranger)
        Prediction.objects.filter(pk=made.pk).update(output=[files.mark(theirs), files.mark(stored(caller))])
        output = caller.get(f"/v1/predictions/{made.pk}").json()["output"]
        assert output[0] == files.mark(theirs)
        assert output[1].startswith(BASE)

    def test_a_large_data_uri_becomes_a_file_and_a_small_one_stays(self, caller: Caller) -> None:
        version = hosted()
        for uri, is_file in (("data:image/png;base64,aGVsbG8=", False), (f"data:text/plain,{'x' * 70_000}", True)):
            answer = caller.post("/v1/predictions", {"version": version.pk, "input": {"text": "a", "image": uri}})
            kept = Prediction.objects.get(pk=answer.json()["id"]).input["image"]
            assert kept.startswith(files.SCHEME) is is_file
        file = File.objects.get()
        assert file.size == 70_000
        assert file.prediction_id == answer.json()["id"]
        assert caller.get("/v1/files").json()["results"] == []

    @pytest.mark.parametrize(
        "value", ["file:///etc/passwd", "data:nothing", "data:image/png;base64,%%%", "ftp://a/b", "plain"]
    )
    def test_other_values_are_refused(self, caller: Caller, value: str) -> None:
        body = {"version": hosted().pk, "input": {"text": "a", "image": value}}
        answer = caller.post("/v1/predictions", body)
        assert answer.status_code == 422
        assert "input.image" in answer.json()["detail"]


def test_old_data_goes_and_the_row_stays(caller: Caller) -> None:
    made = predict(caller.account, hosted())
    file = stored(caller, prediction_id=made.pk)
    Prediction.objects.filter(pk=made.pk).update(
        status="succeeded", completed_at=timezone.now(), output=files.mark(file), logs="secret"
    )
    assert retention.remove_old_data(now=timezone.now() + limits.API_RETENTION / 2) == 0
    assert retention.remove_old_data(now=timezone.now() + limits.API_RETENTION * 2) == 1
    body = caller.get(f"/v1/predictions/{made.pk}").json()
    assert (body["input"], body["output"], body["logs"], body["data_removed"]) == ({}, None, "", True)
    assert not File.objects.filter(pk=file.pk).exists()
    assert not default_storage.exists(file.path)
