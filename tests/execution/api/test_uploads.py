"""Publishing over HTTP: an archive in parts, its build, and what goes wrong on the way."""

import hashlib
from typing import Any

import pytest

from execution import limits
from execution.models import Build
from tests.execution.api.conftest import Caller
from tests.execution.services.test_uploads import ARCHIVE, PART, digest
from tests.factories.execution import hardware

pytestmark = pytest.mark.django_db(transaction=True)


def put(caller: Caller, upload: str, offset: int, **headers: str) -> Any:
    return caller.client.put(
        f"/v1/uploads/{upload}",
        ARCHIVE[offset : offset + PART],
        content_type="application/octet-stream",
        headers={"Authorization": f"Bearer {caller.secret}", "Upload-Offset": str(offset), **headers},
    )


def test_an_archive_in_parts_becomes_a_build(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PART_BYTES", PART)
    hardware()
    begun = caller.post("/v1/uploads", {"name": "model.zip", "size": len(ARCHIVE)})
    assert begun.status_code == 201
    upload = begun.json()
    assert (upload["offset"], upload["part_bytes"], upload["status"]) == (0, PART, "open")
    path, builds = f"/v1/uploads/{upload['id']}", "/v1/models/payer/big/builds"
    assert put(caller, upload["id"], 0, **{"Content-Digest": digest(ARCHIVE[:PART])}).json()["offset"] == PART
    assert [one["offset"] for one in caller.get("/v1/uploads").json()["results"]] == [PART]
    lost = put(caller, upload["id"], 0)
    assert (lost.status_code, lost.json()["metadata"]["offset"]) == (409, PART)
    early = caller.post(builds, {"upload": upload["id"]})
    assert (early.status_code, early.headers["Content-Type"]) == (409, "application/problem+json")
    for offset in range(PART, len(ARCHIVE), PART):
        put(caller, upload["id"], offset)
    done = caller.post(f"{path}/complete", {"sha256": hashlib.sha256(ARCHIVE).hexdigest()}).json()
    assert (done["status"], done["sha256"]) == ("complete", hashlib.sha256(ARCHIVE).hexdigest())
    made = caller.post(builds, {"upload": upload["id"], "visibility": "private", "description": "big"})
    assert made.status_code == 201, made.json()
    build = made.json()
    assert (build["model"], build["status"], build["version"]) == ("payer/big", "queued", None)
    assert Build.objects.get().model.visibility == "private"
    assert caller.get(f"/v1/builds/{build['id']}").json() == {**build, "logs": ""}
    assert [one["id"] for one in caller.get(builds).json()["results"]] == [build["id"]]
    assert caller.post(f"/v1/builds/{build['id']}/cancel").json()["status"] == "canceled"
    assert caller.get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("payer/big", {}, 400, "Say what to build"),
        ("payer/big", {"upload": "none", "git": {"url": "https://host/m"}}, 400, "Say what to build"),
        ("payer/big", {"git": {"url": "https://host/m", "ref": 5}}, 400, "`ref` is a text"),
        ("payer/big", {"git": {"url": "http://host/m"}}, 422, "https only"),
        ("payer/big", {"image": {"reference": "host/m:v1"}}, 422, "TURNPIKE_IMAGE_REGISTRIES"),
        ("payer/big", {"image": {"reference": "host/m:v1", "password": 5}}, 400, "`password` is a text"),
        ("payer/big", {"image": {"reference": "host/m:v1", "token": "x"}}, 400, "Say what to build"),
        ("payer/big", {"git": {"url": "https://127.0.0.1/m"}}, 422, "not on the public internet"),
        ("payer/big", {"git": {"url": "https://host/m"}, "hardware": "gpu-9"}, 422, "`hardware` is one of cpu"),
        ("payer/big", {"upload": "none"}, 404, "no such upload"),
        ("payer/Big Name", {"upload": "none"}, 400, "lower-case"),
        ("payer/big", {"upload": "none", "hardware": "abacus"}, 422, "abacus"),
        ("payer/big", {"upload": "none", "visibility": "secret"}, 422, "visibility"),
        ("payer/big", {"upload": "none", "description": 5}, 400, "description"),
        ("payer/big", {"upload": "none", "description": "x" * 5001}, 422, "at most 5,000 characters"),
        ("somebody/big", {"upload": "none"}, 403, "owner payer"),
    ],
)
def test_what_cannot_be_published_is_told_why(
    caller: Caller, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    hardware()
    answer = caller.post(f"/v1/models/{path}/builds", body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert not Build.objects.exists()


def test_a_part_that_is_too_long_is_not_read(caller: Caller) -> None:
    upload = caller.post("/v1/uploads", {"name": "model.zip", "size": 5}).json()
    answer = put(caller, upload["id"], 0)
    assert answer.status_code == 413
    assert caller.delete(f"/v1/uploads/{upload['id']}").status_code == 204
    assert caller.get("/v1/uploads").json() == {"results": []}


def test_a_repository_becomes_a_build(caller: Caller, settings: Any) -> None:
    settings.PRIVATE_ORIGINS = frozenset({"127.0.0.1:9"})
    hardware()
    given = {"git": {"url": "http://127.0.0.1:9/maker/model.git", "ref": "v1"}}
    build = caller.post("/v1/models/payer/big/builds", given).json()
    assert build["source"] == {"kind": "git", **given["git"], "commit": None, "sha256": None}


def test_an_image_becomes_a_build_that_shows_no_password(caller: Caller, settings: Any) -> None:
    settings.IMAGE_REGISTRIES = frozenset({"registry.example.com"})
    hardware()
    image = {"reference": "registry.example.com/m/model:v1", "username": "maker", "password": "a-canary"}
    half = caller.post("/v1/models/payer/big/builds", {"image": {**image, "password": ""}})
    assert (half.status_code, half.json()["detail"][:10]) == (422, "A registry")
    answer = caller.post("/v1/models/payer/big/builds", {"image": image})
    build = answer.json()
    assert build["source"] == {"kind": "image", "reference": image["reference"], "digest": None}
    row = Build.objects.get()
    assert row.source_secret
    shown = caller.post(f"/v1/builds/{build['id']}/cancel")
    assert not any(b"canary" in one for one in (answer.content, shown.content, row.source_secret.encode()))
    assert Build.objects.get().source_secret == ""
