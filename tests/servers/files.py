"""A real server of files on this machine, which counts what it is asked for."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Its files by path: media type and content, or a status and an address to go on to."""

    port: int = 0
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def origin(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, path: str, content: bytes, kind: str) -> str:
        """Its address."""
        self.files[path] = (kind, content)
        return f"http://{self.origin}{path}"

    def redirect(self, path: str, to: str) -> str:
        self.redirects[path] = to
        return f"http://{self.origin}{path}"


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            state.asked[path] += 1
            if path in state.redirects:
                self.send_response(302)
                self.send_header("Location", state.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kind, content = state.files.get(path, ("text/plain", b"none"))
            self.send_response(200 if path in state.files else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asks may leave when it is too much
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
