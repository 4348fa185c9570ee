"""HTTP to addresses that a caller or an operator gave: checked at every connect, inside the transport.

Every connection is one of `guarded`. Proxies from the environment are never used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from marketplace.lib import addresses
from marketplace.lib.guarded import AsyncGuardedTransport, GuardedBackend, Resolve, trust

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class FetchFailed(Exception):
    """The file could not be fetched; the message names the reason and may be shown to who gave the address."""


class TooLarge(FetchFailed):
    """The file is larger than the cap."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought: its size in bytes, the server's content type (without parameters) and a file name."""

    size: int
    content_type: str
    name: str


def async_client(*, private_origins: Collection[str], timeout: float = READ_SECONDS) -> httpx.AsyncClient:
    """A client for addresses that others gave: guarded, no redirects, nothing from the environment."""
    return httpx.AsyncClient(
        transport=AsyncGuardedTransport(private_origins=private_origins),
        timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


def fetch(
    url: str,
    *,
    write: Callable[[bytes], object],
    max_bytes: int,
    seconds: float,
    private_origins: Collection[str] = (),
    resolve: Resolve = addresses.resolve,
    authorization: str = "",
) -> Fetched:
    """GET a caller's URL into `write`, at most `max_bytes` in at most `seconds` over all redirects. Blocks.

    Up to five redirects are followed, each connection checked anew. `authorization` is sent to the URL's own origin
    and follows no redirect away from it. Raises FetchFailed, TooLarge or Refused.
    """
    own: tuple[str, str] | None = None
    deadline = time.monotonic() + seconds
    backend = GuardedBackend(private_origins=private_origins, deadline=deadline, resolve=resolve)
    with httpcore.ConnectionPool(ssl_context=trust(), network_backend=backend) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            try:
                if urlsplit(url).scheme not in ("http", "https"):
                    raise FetchFailed(f"only http and https addresses can be fetched, not {url[:80]!r}")
                own = own or origin_of(url)
                secret = authorization if origin_of(url) == own else ""
                target = _follow(pool, url, write=write, max_bytes=max_bytes, deadline=deadline, authorization=secret)
            except httpcore.TimeoutException as error:
                raise FetchFailed(f"{_shown(url)} did not answer within {seconds:g} seconds") from error
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
                raise FetchFailed(f"{_shown(url)} could not be read: {error}") from error
            except (httpx.InvalidURL, ValueError) as error:
                raise FetchFailed(f"{url[:80]!r} is not an address that can be fetched") from error
            if isinstance(target, Fetched):
                return target
            url = target
    raise FetchFailed(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")


def post(
    url: str,
    *,
    content: bytes,
    headers: Mapping[str, str],
    seconds: float,
    private_origins: Collection[str] = (),
    resolve: Resolve = addresses.resolve,
) -> int:
    """POST to an address that a caller gave; the answer's status. Its body is not read, redirects are not followed.

    Blocks, at most `seconds`. Raises FetchFailed or Refused.
    """
    backend = GuardedBackend(private_origins=private_origins, deadline=time.monotonic() + seconds, resolve=resolve)
    with httpcore.ConnectionPool(ssl_context=trust(), network_backend=backend) as pool:
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                raise FetchFailed(f"only http and https addresses can be called, not {url[:80]!r}")
            at = httpx.URL(url)
            target = httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
            given = [(b"host", at.netloc), (b"user-agent", b"turnpike"), (b"content-length", b"%d" % len(content))]
            given += [(name.encode(), value.encode()) for name, value in headers.items()]
            timeouts = {"connect": CONNECT_SECONDS, "read": seconds, "write": seconds, "pool": CONNECT_SECONDS}
            with pool.stream("POST", target, headers=given, content=content, extensions={"timeout": timeouts}) as got:
                return got.status
        except httpcore.TimeoutException as error:
            raise FetchFailed(f"{_shown(url)} did not answer within {seconds:g} seconds") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise FetchFailed(f"{_shown(url)} could not be called: {error}") from error
        except (httpx.InvalidURL, ValueError) as error:
            raise FetchFailed(f"{url[:80]!r} is not an address that can be called") from error


def origin_of(url: str) -> tuple[str, str]:
    """Scheme and host with port: what a secret is bound to."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _follow(
    pool: httpcore.ConnectionPool,
    url: str,
    *,
    write: Callable[[bytes], object],
    max_bytes: int,
    deadline: float,
    authorization: str,
) -> Fetched | str:
    """One hop: the file, or the address it redirects to."""
    at = httpx.URL(url)
    target = httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
    host = at.netloc
    headers = [(b"host", host), (b"accept", b"*/*"), (b"accept-encoding", b"identity"), (b"user-agent", b"turnpike")]
    if authorization:
        headers.append((b"authorization", authorization.encode()))
    timeouts = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": CONNECT_SECONDS}
    with pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as answer:
        given = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
        if answer.status in REDIRECTS and b"location" in given:
            return str(at.join(given[b"location"]))
        if answer.status != 200:
            raise FetchFailed(f"{_shown(url)} answered with status {answer.status}")
        if given.get(b"content-encoding", "identity").strip().lower() != "identity":
            raise FetchFailed(f"{_shown(url)} answered compressed although it was asked not to")
        declared = given.get(b"content-length", "")
        if declared.isdigit() and int(declared) > max_bytes:
            raise TooLarge(f"{_shown(url)} is larger than {max_bytes:,} bytes")
        size = 0
        for chunk in answer.iter_stream():
            size += len(chunk)
            if size > max_bytes:
                raise TooLarge(f"{_shown(url)} is larger than {max_bytes:,} bytes")
            if time.monotonic() > deadline:
                raise httpcore.ReadTimeout("the time for this fetch is used up")
            write(chunk)
    kind = given.get(b"content-type", "").partition(";")[0].strip().lower()
    return Fetched(size=size, content_type=kind or "application/octet-stream", name=_name(url))


def _name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2][:255] or "file"


def _shown(url: str) -> str:
    """The address without its query, which often holds a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:200]
