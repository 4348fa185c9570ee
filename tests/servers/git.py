"""A real Git server on this machine: bare repositories behind `git http-backend`, with what attackers would add."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.servers.listening import listening

WHO = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
       (("NAME", "maker"), ("EMAIL", "maker@example.com"), ("DATE", "2026-01-01T00:00:00Z"))}  # fmt: skip


@dataclass
class GitServer:
    """Repositories below `folder` by name; `redirects` are paths that lead elsewhere; `asked` what was asked for."""

    folder: Path
    port: int = 0
    redirects: dict[str, str] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, name: str) -> str:
        return f"http://{self.origin}/{name}"

    def git(self, name: str, *arguments: str, given: bytes = b"") -> str:
        """Git in this repository; what it printed."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **WHO}
        command = ["git", "-C", str(self.folder / name), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, env=clean, check=True)
        return done.stdout.decode().strip()

    def commit(self, name: str, files: dict[str, bytes], *, special: dict[str, tuple[str, str]] | None = None) -> str:
        """Commit exactly these files to the repository's main branch; its hash.

        `special` are entries of other kinds by path: mode and object, or for a link (120000) where it leads.
        """
        if not (self.folder / name).is_dir():
            (self.folder / name).mkdir(parents=True)
            self.git(name, "init", "--quiet", "--bare", "--initial-branch=main")
            self.git(name, "config", "uploadpack.allowAnySHA1InWant", "true")
        self.git(name, "read-tree", "--empty")
        entries = {path: ("100644", self._blob(name, content)) for path, content in files.items()}
        for path, (mode, thing) in (special or {}).items():
            entries[path] = (mode, self._blob(name, thing.encode()) if mode == "120000" else thing)
        for path, (mode, thing) in entries.items():
            self.git(name, "update-index", "--add", "--cacheinfo", f"{mode},{thing},{path}")
        tree = self.git(name, "write-tree")
        made = self.git(name, "commit-tree", tree, "-m", "a commit")
        self.git(name, "update-ref", "refs/heads/main", made)
        return made

    def _blob(self, name: str, content: bytes) -> str:
        return self.git(name, "hash-object", "-w", "--stdin", given=content)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One request, by Git's own program for servers."""
        path, _, query = handler.path.partition("?")
        self.asked.append(path)
        name = path.split("/")[1]
        if name in self.redirects or name in self.private:
            handler.send_response(302 if name in self.redirects else 401)
            if name in self.redirects:
                handler.send_header("Location", handler.path.replace(f"/{name}", self.redirects[name], 1))
            handler.send_header("WWW-Authenticate", "Basic")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "REQUEST_METHOD": handler.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=asked, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        handler.send_response(int(headers.pop("Status", "200").split()[0]))
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        with contextlib.suppress(OSError):  # who asks may leave when it is too much
            handler.wfile.write(content)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[GitServer]:
    """A server of the repositories in `folder`, until the end."""
    state = GitServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as state.port:
        yield state
