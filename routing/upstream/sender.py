"""Requests sent out, over clients that are pinned to a checked address."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError

from marketplace.lib import addresses, pool
from routing.adapters import limits as rate_limits
from routing.adapters.base import Adapter, HttpRequest, Reader
from routing.canonical import UpstreamError
from routing.upstream.answers import Download, Stream, broken, next_piece, read_all, silence
from routing.upstream.deadlines import Deadlines, deadlines

Answer = TypeVar("Answer")

PIN_SECONDS: Final = 60.0
CONNECTS: Final = 4  # tries to reach a provider for one request, over its addresses
READ_HEADERS: Final = ("retry-after", "x-amzn-errortype")  # of a refusal: all that any dialect asks for


@dataclass(frozen=True, slots=True)
class _Pin:
    """A client that connects to one of an origin's checked addresses, and the others that are left."""

    client: Client
    until: float
    others: tuple[str, ...]


class Sender:
    """Sends requests; keeps the pinned clients of this process."""

    def __init__(self, *, limits: Deadlines | None = None, pin_seconds: float = PIN_SECONDS) -> None:
        self.limits = limits or deadlines()
        self._pin_seconds = pin_seconds
        self._pins: dict[str, _Pin] = {}
        self._pinning: dict[str, asyncio.Task[Client]] = {}

    async def send(self, request: HttpRequest, *, adapter: Reader[Answer], patience: float | None = None) -> Answer:
        """A plain answer, waited for `patience` seconds. Raises UpstreamError."""
        limits = self.limits
        seconds = limits.answer if patience is None else patience
        try:
            async with asyncio.timeout(seconds), contextlib.AsyncExitStack() as stack:
                response = await self._open(request, stack, whole=seconds)
                await self._check_status(response, adapter)
                body = await read_all(response.body_reader, limits.plain_bytes)
                return adapter.parse_answer(body)
        except TimeoutError:
            raise silence("did not answer") from None
        except PyreqwestError as error:
            raise broken(error) from None

    async def open_stream(self, request: HttpRequest, *, adapter: Adapter, patience: float | None = None) -> Stream:
        """A streamed answer, its first piece read within `patience` seconds.

        Raises UpstreamError; the caller must close the stream.
        """
        limits = self.limits
        seconds = limits.first_chunk if patience is None else patience
        started = time.monotonic()
        stack = contextlib.AsyncExitStack()
        try:
            try:
                async with asyncio.timeout(seconds):
                    response = await self._open(request, stack)
                    await self._check_status(response, adapter)
            except TimeoutError:
                raise silence("did not answer") from None
            except PyreqwestError as error:
                raise broken(error) from None
            stream = Stream(limits=limits, parser=adapter.stream_parser(), stack=stack, reader=response.body_reader)
            await stream.peek(max(0.001, seconds - (time.monotonic() - started)))
        except BaseException:
            with contextlib.suppress(PyreqwestError):
                await stack.aclose()
            raise
        return stream

    async def open_download(
        self, request: HttpRequest, *, adapter: Reader[object], patience: float | None = None
    ) -> Download:
        """An answer of bytes whose first piece came within `patience` seconds.

        Raises UpstreamError, also for an answer without any; the caller must close what it gets.
        """
        limits = self.limits
        seconds = limits.answer if patience is None else patience
        stack = contextlib.AsyncExitStack()
        try:
            try:
                async with asyncio.timeout(seconds):
                    response = await self._open(request, stack)
                    await self._check_status(response, adapter)
                    first = await next_piece(response.body_reader, seconds)
            except TimeoutError:
                raise silence("did not answer") from None
            except PyreqwestError as error:
                raise broken(error) from None
            if not first:
                raise UpstreamError("The provider's answer is empty.", kind="malformed", retryable=True)
        except BaseException:
            with contextlib.suppress(PyreqwestError):
                await stack.aclose()
            raise
        kind = response.get_header("content-type") or ""
        return Download(first, limits=limits, content_type=kind.lower(), stack=stack, reader=response.body_reader)

    async def _open(self, request: HttpRequest, stack: contextlib.AsyncExitStack, *, whole: float | None = None) -> Any:
        for place in range(CONNECTS):
            client = await self._client(request.url)
            try:
                response = await self._post(client, request, stack, whole=whole)
                if request.hear is not None:
                    request.hear({name: said for name in rate_limits.HEADERS if (said := response.get_header(name))})
                return response
            except (ConnectError, ConnectTimeoutError) as error:
                # Mostly a kept connection that the provider closed just as it was taken: no byte of an answer came.
                if place == 0 and isinstance(error, ConnectError):
                    continue
                if place == CONNECTS - 1 or not self._turn(request.url, client):
                    raise
        raise AssertionError("the last failure is raised")

    async def _post(
        self, client: Client, request: HttpRequest, stack: contextlib.AsyncExitStack, *, whole: float | None
    ) -> Any:
        signed = request.sign(datetime.now(UTC)) if request.sign is not None else ()
        post = client.request(request.method, request.url).headers([*request.headers, *signed]).body_bytes(request.body)
        if whole is not None:
            post = post.timeout(timedelta(seconds=whole))
        # Nothing is read ahead: by default the client would wait for 64 KiB before it shows the first byte.
        return await stack.enter_async_context(post.streamed_read_buffer_limit(0).build_streamed())

    async def _check_status(self, response: Any, adapter: Reader[object]) -> None:
        if response.status == 200:
            return
        body = await read_all(response.body_reader, self.limits.error_bytes, cut=True)
        headers = {name: response.get_header(name) or "" for name in READ_HEADERS}
        raise adapter.error(status=response.status, headers=headers, body=body)

    async def _client(self, url: str) -> Client:
        scheme, host, port, origin = _origin(url)
        known = self._pins.get(origin)
        if known is not None and time.monotonic() < known.until:
            return known.client
        # Requests that find the pin expired at the same time wait for one resolution.
        task = self._pinning.get(origin)
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.ensure_future(self._pin(origin, scheme, host, port))
            self._pinning[origin] = task
        return await asyncio.shield(task)

    def _turn(self, url: str, failed: Client) -> bool:
        """Leave an address that cannot be connected to for the next that was checked with it; False: there is none."""
        _, host, port, origin = _origin(url)
        pin = self._pins.get(origin)
        if pin is None or pin.client is not failed:  # another request has turned, or will look the name up anew
            return pin is not None
        if not pin.others:
            del self._pins[origin]
            return False
        self._pins[origin] = _Pin(self._build(host, pin.others[0], port), pin.until, pin.others[1:])
        return True

    async def _pin(self, origin: str, scheme: str, host: str, port: int) -> Client:
        try:
            if scheme not in {"http", "https"}:
                raise addresses.Refused(f"{scheme} is neither http nor https")
            found = await pool.run(addresses.resolve, host, port)
            addresses.check(host=host, port=port, addresses=found, private_origins=settings.PRIVATE_ORIGINS)
            if scheme == "http" and addresses.origin(host, port) not in settings.PRIVATE_ORIGINS:
                raise addresses.Refused(f"{host} is called by http: only listed private origins may be")
        except addresses.Refused as refused:
            raise UpstreamError(
                f"The provider's address may not be called: {refused}.", kind="refused_address", retryable=True
            ) from None
        client = self._build(host, found[0], port)
        self._pins[origin] = _Pin(client, time.monotonic() + self._pin_seconds, tuple(found[1:]))
        return client

    def _build(self, host: str, address: str, port: int) -> Client:
        builder = (
            ClientBuilder()
            .no_proxy()
            .follow_redirects(False)
            .referer(False)
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .http1_lower_case_headers()
            .user_agent("turnpike")
            .connect_timeout(timedelta(seconds=self.limits.connect))
            .read_timeout(timedelta(seconds=self.limits.longest))  # what is meant is said with each call
            .pool_idle_timeout(timedelta(seconds=30))
            .pool_max_idle_per_host(256)
        )
        if host != address:
            builder = builder.resolve(host, address, port)
        return builder.build()


def _origin(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port, and the three as one word."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, host, port, f"{parts.scheme}://{addresses.origin(host, port)}"


SENDER: Final = Sender()
