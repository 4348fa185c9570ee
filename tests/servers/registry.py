"""A registry of images on this machine (Distribution's HTTP API v2, reading only), with or without a password."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import docker

from tests.servers.listening import listening

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry:
    """Its manifests by "repository:tag", its blobs by digest; `login` is "user:password" where it wants one."""

    port: int = 0
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    login: str = ""
    asked: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, name: str, *, config: bytes, layers: Sequence[tuple[str, int]]) -> str:
        """An image under "repository:tag"; its digest. `layers` are digests and sizes."""
        self.blobs[digest(config)] = config
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": digest(config)},
            "layers": [{"mediaType": LAYER, "size": size, "digest": name} for name, size in layers],
        }
        content = json.dumps(manifest).encode()
        self.manifests[name] = self.manifests[f"{name.rpartition(':')[0]}@{digest(content)}"] = content
        return digest(content)

    def add_with_layer(self, name: str, layer: bytes, config: dict[str, Any]) -> str:
        """An image of one layer, a tar; its digest."""
        self.blobs[digest(layer)] = layer
        whole = {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
        return self.add(name, config=json.dumps(whole).encode(), layers=[(digest(layer), len(layer))])

    def add_known(self, name: str, image: str, *, client: docker.DockerClient, data: Path) -> str:
        """An image that this engine has already; its digest.

        The engine is told that it has the layers, as if it had pushed them, and so asks for the manifest only.
        """
        of_driver = data / "image" / client.info()["Driver"]
        config = (of_driver / "imagedb/content/sha256" / image.removeprefix("sha256:")).read_bytes()
        layers = json.loads(config)["rootfs"]["diff_ids"]
        known = of_driver / "distribution/diffid-by-digest/sha256"
        known.mkdir(parents=True, exist_ok=True)
        for layer in layers:
            (known / layer.removeprefix("sha256:")).write_text(layer)
        return self.add(name, config=config, layers=[(layer, 1) for layer in layers])

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        self.asked.append(handler.path)
        given = handler.headers.get("Authorization", "")
        self.heard.append(given)
        expected = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and given != expected:
            self._send(handler, 401, b"{}", {"WWW-Authenticate": 'Basic realm="tests"'})
            return
        parts = handler.path.strip("/").split("/")
        if parts == ["v2"]:
            self._send(handler, 200, b"{}", {})
            return
        repository, kind, name = "/".join(parts[1:-2]), parts[-2], parts[-1]
        if kind == "manifests":
            separator = "@" if name.startswith("sha256:") else ":"
            content, media = self.manifests.get(f"{repository}{separator}{name}"), MANIFEST
        else:
            content, media = self.blobs.get(name), "application/octet-stream"
        if content is None:
            wrong = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._send(handler, 404, json.dumps(wrong).encode(), {"Content-Type": "application/json"})
            return
        self._send(handler, 200, content, {"Content-Type": media, "Docker-Content-Digest": digest(content)})

    def _send(self, handler: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in {"Docker-Distribution-Api-Version": "registry/2.0", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            with contextlib.suppress(OSError):
                handler.wfile.write(content)


@contextlib.contextmanager
def serving() -> Iterator[Registry]:
    """A registry until the end."""
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as state.port:
        yield state
