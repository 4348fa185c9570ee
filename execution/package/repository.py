"""The address of a Git repository, and what of it is wanted, as a publisher writes them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from execution.package.errors import PackageError
from marketplace.lib.addresses import origin

MAX_URL: Final = 500
# Written plainly: what needs decoding is read differently by different programs.
URL: Final = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+")
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
LIKE_A_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|\d+)")
REF: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")
COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Repository:
    """Where it is: `url` as Git is given it, its host and port; `ref` is a branch, tag or commit, HEAD unless said."""

    url: str
    host: str
    port: int
    ref: str

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0]


def read_repository(*, url: str, ref: str = "", plain_origins: Collection[str] = ()) -> Repository:
    """The repository behind an https address; http only for an origin ("host:port") that the operator has listed.

    Raises PackageError with what to change. Says nothing of where the host's name leads: see builders.repository.
    """
    if len(url) > MAX_URL or not URL.fullmatch(url):
        raise PackageError(f"Write the repository's address as https://host/path, in at most {MAX_URL} characters.")
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise PackageError("A repository is fetched over https only: write its address as https://host/path.")
    if "@" in parts.netloc:
        raise PackageError("Leave name and password out of the address: only public repositories are fetched.")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise PackageError("A repository's address has no ? and no #; a branch, tag or commit has a field of its own.")
    if not parts.path.strip("/") or ".." in parts.path.split("/"):
        raise PackageError("The address has no path to a repository: write it as https://host/path.")
    host, port = _place(parts.netloc, scheme)
    if scheme == "http" and origin(host, port) not in plain_origins:
        raise PackageError("A repository is fetched over https only: write its address as https://host/path.")
    shown = f"[{host}]" if ":" in host else host
    standard = port == PORTS[scheme]
    return Repository(
        url=f"{scheme}://{shown}{'' if standard else f':{port}'}{parts.path}", host=host, port=port, ref=_ref(ref)
    )


def _place(netloc: str, scheme: str) -> tuple[str, int]:
    """Host and port. Numbers that only some programs take for an address are none."""
    wrong = PackageError(f"{netloc!r} is not a host: write the repository's address as https://host/path.")
    try:
        parts = urlsplit(f"//{netloc}")
        host, port = (parts.hostname or "").lower(), parts.port or PORTS[scheme]
    except ValueError:
        raise wrong from None
    if ":" in host or LIKE_A_NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise wrong from None
    elif len(host) > 253 or not NAME.fullmatch(host):
        raise wrong
    return host, port


def _ref(ref: str) -> str:
    ref = ref.strip() or "HEAD"
    if not REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith((".", "/", ".lock")):
        raise PackageError("Write a branch, a tag or a commit's 40 hex digits.")
    return ref
