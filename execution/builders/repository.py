"""Fetches one commit of a stranger's Git repository, as a zip: behind the walls, and only fetching has a network.

The host's name is resolved and judged here and Git is told to connect to the checked address, so that a name which
answers differently the second time gains nothing. Git reads no configuration but ours, follows no redirect (nor a
repository's alternates), knows no other protocol, asks for no password, runs no hook and no filter: nothing is checked
out, the commit's files are packed as they are and unpacked like any upload.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from execution.builders import steps
from execution.builders.base import BuildFailed, BuildLimits
from execution.package import PackageError
from execution.package.repository import COMMIT, Repository
from execution.runtimes import sandbox
from marketplace.lib import addresses

Resolve = Callable[[str, int], Iterable[str]]

LEAST_GIT: Final = (2, 37)  # the first whose http.curloptResolve pins an address
LIST_SECONDS: Final = 60.0
SYMLINK: Final = "120000"
SUBMODULE: Final = "160000"
LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
LFS_LONGEST: Final = 1024
# `init` and `fetch` in one: each step has a user of its own, and only the one that made the folder may write to it.
FETCH: Final = (
    'git init --quiet --bare --template= "$1" && exec git --git-dir="$1" fetch --quiet --depth=1 --no-tags '
    '--no-recurse-submodules --no-auto-maintenance -- "$2" "$3"'
)
TOO_LARGE: Final = re.compile(r"signal 25|[Ff]ile too large|write error", re.ASCII)
NOT_PUBLIC: Final = re.compile(r"could not read (?:Username|Password)|[Aa]uthentication failed|error: 40[13]")
NOT_THERE: Final = re.compile(r"couldn't find remote ref|not our ref|no such remote ref|unadvertised object")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch: seconds over the network, bytes packed, and bytes and number of the files at the commit."""

    seconds: float = 300.0
    packed_bytes: int = 2 * 1024 * 1024 * 1024
    file_bytes: int = 2 * 1024 * 1024 * 1024
    files: int = 10_000


@dataclass(frozen=True, slots=True)
class Checkout:
    """What was fetched: the commit's hash, and its files as a zip at `archive`."""

    commit: str
    archive: Path


def check(found: Repository, *, private_origins: Collection[str], resolve: Resolve = addresses.resolve) -> list[str]:
    """The checked addresses of the repository's host. Raises addresses.Refused. Blocks on the name's resolution."""
    there = list(resolve(found.host, found.port))
    addresses.check(host=found.host, port=found.port, addresses=there, private_origins=private_origins)
    return there


def fetch(
    found: Repository,
    *,
    folder: Path,
    private_origins: Collection[str],
    log: Callable[[str], None],
    is_canceled: Callable[[], bool],
    limits: FetchLimits | None = None,
    build_limits: BuildLimits | None = None,
    resolve: Resolve = addresses.resolve,
) -> Checkout:
    """Fetch into `folder`, which the caller removes. Raises BuildFailed, PackageError, BuildCanceled."""
    _require_git()
    limits = limits or FetchLimits()
    try:
        pinned = check(found, private_origins=private_origins, resolve=resolve)
    except addresses.Refused as error:
        raise BuildFailed(f"The repository was not fetched: {error}.") from None
    git = _Git(folder, found, pinned, limits, (build_limits or BuildLimits()).memory_bytes, log, is_canceled)
    log(f"Fetching {found.url} at {found.ref}.")
    git.fetch()
    commit = git.commit()
    log(f"The commit is {commit}.")
    git.refuse_what_is_not_taken(commit)
    return Checkout(commit=commit, archive=git.packed(commit))


@functools.cache
def _require_git() -> None:
    if shutil.which("git") is None:
        raise BuildFailed("This host has no git to fetch a repository with: install git 2.37 or newer.")
    said = subprocess.run(["git", "version"], capture_output=True, text=True, check=False, timeout=20).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < LEAST_GIT:
        raise BuildFailed(f"This host has {said.strip() or 'no git'}, and repositories need git 2.37 or newer.")


def refuse_pointers(source: Path) -> None:
    """Raise PackageError for a file that Git LFS keeps elsewhere: what is here only names it."""
    for path in source.rglob("*"):
        if path.is_file() and path.stat().st_size <= LFS_LONGEST and path.read_bytes().startswith(LFS_POINTER):
            name = path.relative_to(source)
            raise PackageError(f"{name} is kept in Git LFS, which is not fetched: upload the folder as an archive.")


class _Git:
    """Git's steps over one folder: `home` with its configuration, `repository`, `out`."""

    def __init__(
        self,
        folder: Path,
        found: Repository,
        pinned: Collection[str],
        limits: FetchLimits,
        memory_bytes: int,
        log: Callable[[str], None],
        is_canceled: Callable[[], bool],
    ) -> None:
        self._found, self._limits, self._memory_bytes = found, limits, memory_bytes
        self._log, self._is_canceled = log, is_canceled
        self._work, self._out = folder / "git", folder / "out"
        self._config = folder / "gitconfig"
        for one in (self._work, self._out):
            one.mkdir()
        folder.chmod(0o711)  # without bubblewrap Git's own user has to walk through it
        self._config.write_text(_config(found, pinned))
        self._config.chmod(0o644)
        self._repository = self._work / "repository"

    def fetch(self) -> None:
        """The only step with a network."""
        heard: list[str] = []

        def hear(line: str) -> None:
            heard.append(line)
            self._log(line)

        command = ["sh", "-c", FETCH, "fetch", str(self._repository), self._found.url, self._found.ref]
        watch = steps.Watch((self._work,), 2 * self._limits.packed_bytes, "The repository's packed files")
        status, _ = steps.run(
            self._order(command, writable=self._work, network=True),
            name="fetching the repository",
            seconds=self._limits.seconds,
            log=hear,
            is_canceled=self._is_canceled,
            watch=watch,
        )
        if status:
            raise BuildFailed(self._explain(heard, status))

    def _explain(self, heard: list[str], status: int) -> str:
        said = "\n".join(heard)
        if NOT_PUBLIC.search(said):
            return f"{self._found.url} asks for a password or is not there: only public repositories are fetched."
        if NOT_THERE.search(said):
            return (
                f"The repository has no {self._found.ref!r}, or its server gives no single commits: "
                "name a branch or a tag."
            )
        if "redirect" in said or re.search(r"error: 30\d", said):
            return f"{self._found.url} leads to another address, which is not followed: give that address."
        if TOO_LARGE.search(said):
            most = self._limits.packed_bytes
            return f"The repository takes more than {most:,} bytes packed: upload an archive instead."
        return f"The repository could not be fetched: {heard[-1] if heard else f'git ended with {status}'}"

    def commit(self) -> str:
        """The hash of what was fetched."""
        output = self._read("rev-parse", "--verify", "FETCH_HEAD^{commit}").decode().strip()
        if not COMMIT.fullmatch(output):
            raise BuildFailed(f"{self._found.ref} is no commit of the repository.")
        return output

    def refuse_what_is_not_taken(self, commit: str) -> None:
        """Raise PackageError for links, submodules and more than the limits, before anything is unpacked."""
        listing = self._read("ls-tree", "-r", "-z", "-l", "--full-tree", commit)
        if len(listing) >= steps.MAX_OUTPUT:
            raise PackageError(f"The repository has more than the limit of {self._limits.files:,} files.")
        entries = [entry.partition(b"\t") for entry in listing.split(b"\0") if entry]
        if len(entries) > self._limits.files:
            raise PackageError(f"The repository has {len(entries):,} files; the limit is {self._limits.files:,}.")
        total = 0
        for about, _, raw in entries:
            mode, _, _, size = about.decode().split()
            name = raw.decode("utf-8", "replace")[:100]
            if mode == SYMLINK:
                raise PackageError(f"{name} is a symbolic link; a model's folder may hold files and folders only.")
            if mode == SUBMODULE:
                raise PackageError(f"{name} is a submodule, which is not fetched: put its files into the repository.")
            total += int(size)
        if total > self._limits.file_bytes:
            raise PackageError(f"The files take {total:,} bytes; the limit is {self._limits.file_bytes:,}.")

    def packed(self, commit: str) -> Path:
        """The commit's files as a zip."""
        archive = self._out / "source.zip"
        command = self._command("archive", "--format=zip", "-1", f"--output={archive}", commit)
        self._step(command, "packing the commit's files", writable=self._out)
        return archive

    def _read(self, *arguments: str) -> bytes:
        return self._step(self._command(*arguments), "reading the repository")

    def _command(self, *arguments: str) -> list[str]:
        return ["git", f"--git-dir={self._repository}", *arguments]

    def _step(self, command: list[str], name: str, *, writable: Path | None = None) -> bytes:
        status, output = steps.run(
            self._order(command, writable=writable),
            name=name,
            seconds=LIST_SECONDS,
            log=self._log,
            is_canceled=self._is_canceled,
        )
        if status:
            raise BuildFailed(f"{name.capitalize()} failed: git ended with {status}.")
        return output

    def _order(self, command: list[str], *, writable: Path | None, network: bool = False) -> sandbox.Order:
        mounts = [sandbox.Mount(self._config)]
        if writable is not None:
            mounts.append(sandbox.Mount(writable, writable=True))
        if writable != self._work:
            mounts.append(sandbox.Mount(self._work))
        authority = Path(os.environ.get("TURNPIKE_BUILD_CA", "") or "/nowhere")
        if network and authority.is_file():
            mounts.append(sandbox.Mount(authority.resolve()))
        boxed = bool(sandbox.survey().bwrap)
        return sandbox.Order(
            command=command,
            cwd="/",
            mounts=mounts,
            environment={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": "/tmp" if boxed else str(self._work),  # noqa: S108 (the sandbox's own)
                "LANG": "C.UTF-8",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": str(self._config),
                "GIT_ATTR_NOSYSTEM": "1",
                "GIT_ALLOW_PROTOCOL": self._found.scheme,
                "GIT_PROTOCOL_FROM_USER": "0",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_ASKPASS": "false",
                **({"GIT_SSL_CAINFO": str(authority.resolve())} if authority.is_file() else {}),
            },
            network=network,
            memory_bytes=self._memory_bytes,
            file_bytes=self._limits.packed_bytes if network else self._limits.file_bytes,
        )


def _config(found: Repository, pinned: Collection[str]) -> str:
    """All of Git's configuration. The values are ours, or were checked letter by letter (package.repository)."""
    there = ",".join(f"[{one}]" if ":" in one else one for one in pinned)
    return "\n".join(
        (
            "[protocol]\n\tallow = never",
            f'[protocol "{found.scheme}"]\n\tallow = always',
            f"[http]\n\tfollowRedirects = false\n\tproxy =\n\tcurloptResolve = {found.host}:{found.port}:{there}",
            "\tlowSpeedLimit = 1000\n\tlowSpeedTime = 30",
            "[credential]\n\thelper =",
            "[core]\n\thooksPath = /dev/null\n\tattributesFile = /dev/null\n\tfsmonitor = false",
            "[submodule]\n\trecurse = false",
            "[gc]\n\tauto = 0",
            "[fetch]\n\tunpackLimit = 1",  # one pack, whose size the kernel bounds
            "[safe]\n\tdirectory = *",  # another step's user made it
            "",
        )
    )
