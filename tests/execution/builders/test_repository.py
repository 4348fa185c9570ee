"""Repositories from a real Git server on this machine: what is fetched, and what attackers try."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from execution import package
from execution.builders import repository as builder
from execution.builders.base import BuildCanceled, BuildFailed
from execution.builders.repository import Checkout, FetchLimits
from execution.package import PackageError, read_repository
from execution.runtimes import sandbox
from tests.servers import git
from tests.servers.git import GitServer

FILES = {"cog.yaml": b"run: x.py:Runner\n", "folder/data.bin": bytes(range(256))}
Fetch = Callable[..., Checkout]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git.serving(tmp_path_factory.mktemp("repositories")) as started:
        yield started


@pytest.fixture
def fetch(server: GitServer, tmp_path: Path) -> Fetch:
    """Fetch from the server by its repository's name, or from an address."""

    def call(name: str, ref: str = "", *, origins: frozenset[str] | None = None, **more: Any) -> Checkout:
        listed = frozenset({server.origin}) if origins is None else origins
        url = name if "://" in name else server.url(name)
        given = {"folder": tmp_path, "log": print, "is_canceled": lambda: False, "private_origins": listed, **more}
        return builder.fetch(read_repository(url=url, ref=ref, plain_origins=listed), **given)

    return call


def test_a_branch_is_fetched_with_its_commits_hash_and_nothing_else(
    fetch: Fetch, server: GitServer, tmp_path: Path
) -> None:
    server.commit("model", {"old.txt": b"gone"})
    newest = server.commit("model", FILES)
    got = fetch("model")
    assert got.commit == newest
    with got.archive.open("rb") as archive:
        package.unpack(archive, tmp_path / "src")
    found = {str(path.relative_to(tmp_path / "src")): path.read_bytes() for path in (tmp_path / "src").rglob("*.*")}
    assert found == FILES


def test_a_commit_that_is_no_longer_the_newest_is_fetched_by_its_hash(fetch: Fetch, server: GitServer) -> None:
    old = server.commit("moved", {"cog.yaml": b"old"})
    server.commit("moved", FILES)
    got = fetch("moved", old)
    assert got.commit == old
    with zipfile.ZipFile(got.archive) as archive:
        assert archive.read("cog.yaml") == b"old"


@pytest.mark.parametrize("ref", ["no-such-branch", "0" * 40])
def test_what_is_not_there_is_told(fetch: Fetch, server: GitServer, ref: str) -> None:
    server.commit("small", FILES)
    with pytest.raises(BuildFailed, match="has no '" + ref):
        fetch("small", ref)


def test_a_host_is_connected_to_as_it_was_checked(fetch: Fetch, server: GitServer) -> None:
    """The name resolves nowhere but here: had Git asked for it again, it would have found nothing."""
    commit = server.commit("pinned", FILES)
    name = f"git.example.com:{server.port}"
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        return ["127.0.0.1"]

    assert fetch(f"http://{name}/pinned", origins=frozenset({name}), resolve=resolve).commit == commit
    assert asked == [name]


def test_a_private_address_is_not_called_unless_it_is_listed(fetch: Fetch, server: GitServer) -> None:
    server.asked.clear()
    with pytest.raises(BuildFailed, match="not on the public internet"):
        fetch("https://rebound.example.com/model", resolve=lambda host, port: ["127.0.0.1"])
    with pytest.raises(BuildFailed, match="link-local, metadata"):
        fetch("https://rebound.example.com/model", resolve=lambda host, port: ["169.254.169.254"])
    assert server.asked == []


def test_a_redirect_is_not_followed(fetch: Fetch, server: GitServer, tmp_path: Path) -> None:
    with git.serving(tmp_path / "elsewhere") as other:
        other.commit("model", FILES)
        server.redirects["away"] = other.url("model")
        with pytest.raises(BuildFailed, match="leads to another address"):
            fetch("away")
        assert other.asked == []


def test_a_repository_behind_a_password_is_not_asked_for_one(fetch: Fetch, server: GitServer) -> None:
    server.private.add("secret")
    with pytest.raises(BuildFailed, match="only public repositories"):
        fetch("secret")


@pytest.mark.parametrize(
    ("path", "mode", "thing", "says"),
    [
        ("way-out", "120000", "../../../etc/passwd", "way-out is a symbolic link"),
        ("folder/inside", "120000", "data.bin", "is a symbolic link"),
        ("module", "160000", "1" * 40, "module is a submodule"),
    ],
)
def test_links_and_submodules_are_refused_before_anything_is_unpacked(
    fetch: Fetch, server: GitServer, tmp_path: Path, path: str, mode: str, thing: str, says: str
) -> None:
    server.commit("trap", FILES, special={path: (mode, thing)})
    with pytest.raises(PackageError, match=says):
        fetch("trap")
    assert list((tmp_path / "out").iterdir()) == []


def test_filters_hooks_and_attributes_of_the_repository_do_nothing(
    fetch: Fetch, server: GitServer, tmp_path: Path
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"
    attributes = b"* filter=lfs diff=lfs merge=lfs -text\n"
    server.commit("large", {**FILES, ".gitattributes": attributes, "weights.bin": pointer})
    got = fetch("large")
    with got.archive.open("rb") as archive:
        package.unpack(archive, tmp_path / "src")
    assert (tmp_path / "src/weights.bin").read_bytes() == pointer
    with pytest.raises(PackageError, match=r"weights\.bin is kept in Git LFS"):
        builder.refuse_pointers(tmp_path / "src")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (FetchLimits(packed_bytes=100_000), "more than 100,000 bytes packed"),
        (FetchLimits(file_bytes=200_000), "The files take 300,273"),
        (FetchLimits(files=2), "has 3 files; the limit is 2"),
        (FetchLimits(seconds=0.0), "took longer than the limit of 0 s"),
    ],
)
def test_a_huge_repository_ends_at_the_limits(fetch: Fetch, server: GitServer, limits: FetchLimits, says: str) -> None:
    noise = b"".join(bytes([n * n % 251, n % 241, n * 7 % 239]) for n in range(100_000))
    server.commit("huge", {**FILES, "noise": noise})
    with pytest.raises((BuildFailed, PackageError), match=says):
        fetch("huge", limits=limits)


def test_a_canceled_fetch_stops(fetch: Fetch, server: GitServer) -> None:
    server.commit("left", FILES)
    with pytest.raises(BuildCanceled):
        fetch("left", is_canceled=lambda: True)


def test_without_bubblewrap_it_is_fetched_all_the_same(
    server: GitServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = server.commit("bare", FILES)
    monkeypatch.setenv("TURNPIKE_SANDBOX", "none")
    sandbox.survey.cache_clear()
    try:
        with tempfile.TemporaryDirectory() as folder:  # not below tmp_path, which only its owner may walk through
            assert fetch("bare", folder=Path(folder)).commit == commit
    finally:
        sandbox.survey.cache_clear()
