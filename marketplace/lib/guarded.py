"""Connections to checked addresses only, inside the transport.

The name is resolved here, every address judged, and the connection made to the checked address, so that a
name which answers differently the second time gains nothing. For httpcore's pools, and for httpx's async client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from marketplace.lib import addresses
from marketplace.lib.addresses import Refused

Resolve = Callable[[str, int], Iterable[str]]
SocketOptions = Iterable[httpcore.SOCKET_OPTION] | None


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at one deadline: a server that drips bytes cannot hold a worker."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for this fetch is used up")
        return left if timeout is None else min(left, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._inner.start_tls(ssl_context, server_hostname, self._left(timeout)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens TCP connections to checked addresses only; unix sockets never."""

    def __init__(
        self, *, private_origins: Collection[str], deadline: float, resolve: Resolve = addresses.resolve
    ) -> None:
        self._inner = httpcore.SyncBackend()
        self._private_origins = private_origins
        self._deadline = deadline
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore.NetworkStream:
        found = list(self._resolve(host, port))
        addresses.check(host=host, port=port, addresses=found, private_origins=self._private_origins)
        for position, address in enumerate(found):
            try:
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(found) - 1:
                    raise
            else:
                return _TimedStream(stream, self._deadline)
        raise httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: SocketOptions = None
    ) -> httpcore.NetworkStream:
        raise Refused("unix sockets may not be called")


class AsyncGuardedBackend(httpcore.AsyncNetworkBackend):
    """The same for code on the event loop; the name is resolved in the loop's own resolver thread."""

    def __init__(self, *, private_origins: Collection[str], resolve: Resolve = addresses.resolve) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._private_origins = private_origins
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions = None,
    ) -> httpcore.AsyncNetworkStream:
        found = list(await asyncio.get_running_loop().run_in_executor(None, self._resolve, host, port))
        addresses.check(host=host, port=port, addresses=found, private_origins=self._private_origins)
        for position, address in enumerate(found):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(found) - 1:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: SocketOptions = None
    ) -> httpcore.AsyncNetworkStream:
        raise Refused("unix sockets may not be called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@lru_cache(maxsize=1)
def trust() -> SSLContext:
    """Whom TLS trusts, read once."""
    return httpx.create_ssl_context()


def _outgoing(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    return {
        "method": request.method,
        "url": httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        "headers": request.headers.raw,
        "content": request.stream,
        "extensions": request.extensions,
    }


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.TimeoutException(str(error) or "timed out") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise httpx.TransportError(str(error) or type(error).__name__) from error


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`: every connection it makes is guarded. Raises Refused beside httpx's errors."""

    def __init__(self, *, private_origins: Collection[str], resolve: Resolve = addresses.resolve) -> None:
        backend = AsyncGuardedBackend(private_origins=private_origins, resolve=resolve)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=trust(), network_backend=backend, max_connections=100)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _as_httpx():
            answer = await self._pool.handle_async_request(httpcore.Request(**_outgoing(request)))
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_AsyncBody(answer), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._answer.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()
