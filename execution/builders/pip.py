"""Which pip and which package index: as the host is configured, with every local path shown to the sandbox."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

OPTIONS: Final = frozenset(
    {
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "trusted-host",
        "cert",
        "client-cert",
        "proxy",
        "timeout",
        "default-timeout",
        "retries",
    }
)
VARIABLES: Final = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)


@dataclass(frozen=True, slots=True)
class Index:
    """`environment` says to pip where packages come from; `paths` must be visible to it."""

    environment: dict[str, str]
    paths: tuple[Path, ...]


def find_pip() -> Path | None:
    """The folder of a pip (with its __main__.py), any pip: it will be run by the version's own Python."""
    spec = importlib.util.find_spec("pip")
    if spec is not None and spec.origin:
        return Path(spec.origin).parent.resolve()
    for prefix in (sys.base_prefix, "/usr"):
        for pattern in ("lib/python3*/site-packages/pip", "lib/python3/dist-packages/pip"):
            for found in sorted(Path(prefix).glob(pattern), reverse=True):
                if (found / "__main__.py").is_file():
                    return found.resolve()
    return None


def _configured(pip: Path) -> dict[str, str]:
    """`pip config list`: lines such as global.index-url='https://…', later ones win."""
    answer = subprocess.run(
        [sys.executable, str(pip), "config", "list"], capture_output=True, text=True, check=False, timeout=60
    )
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in answer.stdout.splitlines():
            key, _, value = line.partition("=")
            place, _, name = key.rpartition(".")
            if place == section and name in OPTIONS:
                try:
                    found[name] = str(ast.literal_eval(value))
                except (ValueError, SyntaxError):
                    continue
    return found


def _local(word: str) -> Path | None:
    if word.startswith("file:"):
        return Path(unquote(urlsplit(word).path))
    return Path(word) if word.startswith("/") else None


@functools.cache
def host_index(pip: Path) -> Index:
    """The host's configuration, from its files and environment. Read once: it does not change while a worker lives."""
    options = _configured(pip)
    environment = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in options.items()}
    environment |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    paths = []
    for name in ("index-url", "extra-index-url", "find-links", "cert", "client-cert"):
        paths += [_local(word) for word in options.get(name, "").split()]
    paths += [_local(environment.get(name, "")) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")]
    # A simple index is a folder whose pages point to a sibling: its parent must be seen as well.
    shown = {path.parent if path.name == "simple" else path for path in paths if path is not None and path.exists()}
    return Index(environment=environment, paths=tuple(sorted(shown)))
