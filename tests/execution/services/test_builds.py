"""From an upload to a version, with the real builder."""

import datetime as dt
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from execution import limits
from execution.builders.base import Built
from execution.models import Build
from execution.services import build_runs, builds, folders, publishing
from marketplace.lib.errors import Conflict, NotFound, Unprocessable
from marketplace.models import Account, Version
from tests.execution.conftest import EXAMPLES
from tests.factories.execution import hardware, payer
from tests.servers import git
from tests.servers.git import GitServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def publisher(hello_build: Built) -> Account:
    """Somebody who may publish; the packages that hello-text needs are at hand by `hello_build`."""
    hardware()
    return payer("0", email="maker@example.com", slug="maker")


def upload(account: Account, content: bytes | None = None) -> Build:
    packed = folders.pack(EXAMPLES / "hello-text") if content is None else content
    return publishing.publish(
        account=account,
        listing=publishing.Listing(slug="hello"),
        archive=io.BytesIO(packed),
        archive_name="hello.zip",
    )


def fresh(build: Build) -> Build:
    return Build.objects.select_related("version").get(pk=build.pk)


def test_an_upload_becomes_a_version_with_its_schema(publisher: Account) -> None:
    build = upload(publisher)
    assert build_runs.work(build_id=build.pk, owner="test") == 1
    row = fresh(build)
    assert row.status == "succeeded", row.log
    assert row.version is not None
    assert len(row.version.pk) == 64
    assert row.version.model.full_slug == "maker/hello"
    assert set(row.version.openapi_schema["components"]["schemas"]["Input"]["properties"]) == {
        "text",
        "times",
        "seconds",
    }
    assert builds.folder(row.version.build_path).is_dir()
    assert row.version.pk in row.log


def test_the_same_content_is_the_same_version_and_leaves_one_folder(publisher: Account) -> None:
    first, second = upload(publisher), upload(publisher)
    assert build_runs.work(build_id=first.pk, owner="test") == 2
    assert fresh(first).version == fresh(second).version
    assert Version.objects.count() == 1
    kept = {path.name.partition("-")[0] for path in (Path(settings.VAR) / "builds").iterdir()}
    assert {first.pk, second.pk} & kept == {first.pk}


def test_a_folder_is_published_once_and_then_at_once(publisher: Account, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    shutil.copytree(EXAMPLES / "hello-text", folder)
    version = folders.publish(account=publisher, slug="hello", folder=folder)
    assert folders.publish(account=publisher, slug="hello", folder=folder) == version
    assert Build.objects.count() == 1
    (folder / "run.py").write_text((folder / "run.py").read_text().replace("hello ", "bye "))
    assert folders.publish(account=publisher, slug="hello", folder=folder) != version


def test_a_failed_build_says_why_and_leaves_nothing(publisher: Account, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no model here")
    build = upload(publisher, folders.pack(tmp_path))
    build_runs.work(build_id=build.pk, owner="test")
    row = fresh(build)
    assert row.status == "failed"
    assert "cog.yaml" in row.error
    assert "cog.yaml" in row.log
    assert not Version.objects.exists()
    assert not list((Path(settings.VAR) / "builds").glob(f"{build.pk}*"))
    with pytest.raises(Unprocessable, match=r"cog\.yaml"):
        folders.publish(account=publisher, slug="hello", folder=tmp_path)


def test_two_doorbells_are_one_build(publisher: Account) -> None:
    build = upload(publisher)
    assert builds.begin(build_id=build.pk, owner="a") == 1
    assert builds.begin(build_id=build.pk, owner="b") is None


def test_a_lost_builder_is_replaced_once(publisher: Account) -> None:
    build = upload(publisher)
    later = timezone.now() + 2 * limits.LEASE
    for attempt in range(limits.BUILD_ATTEMPTS):
        assert fresh(build).status == "queued"
        assert builds.begin(build_id=build.pk, owner=f"w{attempt}") == attempt + 1
        builds.poll(now=timezone.now())
        assert fresh(build).status == "building"
        builds.poll(now=later + dt.timedelta(seconds=1))
    row = fresh(build)
    assert row.status == "failed"
    assert "lost 2 times" in row.error
    assert not builds.end(build_id=build.pk, fence=2, status="succeeded")


def test_a_canceled_build_stays_canceled(publisher: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    build = upload(publisher)
    fence = builds.begin(build_id=build.pk, owner="a")
    assert fence is not None
    assert builds.cancel(account_id=publisher.pk, build_id=build.pk).status == "canceled"
    assert not builds.end(build_id=build.pk, fence=fence, status="succeeded")
    assert build_runs.work(build_id=build.pk, owner="test") == 0


def test_a_strangers_build_is_not_there(publisher: Account) -> None:
    build = upload(publisher)
    stranger = payer("0", email="eve@example.com", slug="eve")
    for verb in (builds.find, builds.cancel, builds.retry):
        call: Any = verb
        with pytest.raises(NotFound):
            call(account_id=stranger.pk, build_id=build.pk)


def test_a_build_that_did_not_succeed_is_tried_again_as_one_of_its_own(publisher: Account) -> None:
    build = upload(publisher)
    with pytest.raises(Conflict, match="queued"):
        builds.retry(account_id=publisher.pk, build_id=build.pk)
    builds.cancel(account_id=publisher.pk, build_id=build.pk)
    again = builds.retry(account_id=publisher.pk, build_id=build.pk)
    assert build_runs.work(build_id=again.pk, owner="test") == 1
    assert (fresh(build).status, fresh(again).status) == ("canceled", "succeeded")
    with pytest.raises(Conflict, match="succeeded"):
        builds.retry(account_id=publisher.pk, build_id=again.pk)


@pytest.fixture
def repository(tmp_path: Path, settings: Any) -> Iterator[GitServer]:
    """examples/hello-text as a repository `hello` of a server that may be called."""
    with git.serving(tmp_path / "repositories") as server:
        files = [
            path for path in (EXAMPLES / "hello-text").rglob("*") if path.is_file() and "__pycache__" not in str(path)
        ]
        server.commit("hello", {str(path.relative_to(EXAMPLES / "hello-text")): path.read_bytes() for path in files})
        settings.PRIVATE_ORIGINS = frozenset({server.origin})
        yield server


def from_git(account: Account, server: GitServer, ref: str = "") -> Build:
    listing = publishing.Listing(slug="hello")
    return publishing.publish_repository(account=account, listing=listing, url=server.url("hello"), ref=ref)


def test_a_repository_becomes_a_version_that_names_its_commit(publisher: Account, repository: GitServer) -> None:
    commit = repository.git("hello", "rev-parse", "main")
    build = from_git(publisher, repository, "main")
    assert build_runs.work(build_id=build.pk, owner="test") == 1
    row = fresh(build)
    assert row.status == "succeeded", row.log
    assert (row.source_revision, len(row.source_sha256)) == (commit, 64)
    assert row.version is not None
    assert (row.version.source_url, row.version.source_revision) == (repository.url("hello"), commit)
    assert commit in row.log
    archived = upload(publisher)
    build_runs.work(build_id=archived.pk, owner="test")
    assert fresh(archived).version == row.version  # the same content, whichever way it came


def test_a_build_that_is_tried_again_is_of_the_same_commit(publisher: Account, repository: GitServer) -> None:
    commit = repository.commit("hello", {"readme.txt": b"no model here"})
    build = from_git(publisher, repository)
    build_runs.work(build_id=build.pk, owner="test")
    assert "cog.yaml" in fresh(build).error
    repository.commit("hello", {"cog.yaml": b"newer"})
    asked = len(repository.asked)
    again = builds.retry(account_id=publisher.pk, build_id=build.pk)
    build_runs.work(build_id=again.pk, owner="test")
    assert (fresh(again).source_revision, fresh(again).error) == (commit, fresh(build).error)
    assert len(repository.asked) == asked


def test_a_repository_that_may_not_be_called_is_refused_at_once(publisher: Account, repository: GitServer) -> None:
    listing = publishing.Listing(slug="hello")
    for url, says in (("https://127.0.0.1/hello", "TURNPIKE_PRIVATE_ORIGINS"), ("file:///etc", "https only")):
        with pytest.raises(Unprocessable, match=says):
            publishing.publish_repository(account=publisher, listing=listing, url=url)
    assert not Build.objects.exists()
    assert repository.asked == []
