"""Answers as they come in: read piece by piece, none longer or more silent than may be, each failure in our words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError, RequestTimeoutError

from routing.adapters.base import StreamParser
from routing.canonical import Chunk, UpstreamError
from routing.upstream.deadlines import Deadlines

DRAIN_SECONDS: Final = 0.05


class Stream:
    """An open streamed answer whose first piece has been read and judged sound."""

    __slots__ = ("_deadlines", "_first", "_parser", "_reader", "_received", "_rest", "_stack")

    def __init__(
        self, *, limits: Deadlines, parser: StreamParser, stack: contextlib.AsyncExitStack, reader: Any
    ) -> None:
        self._deadlines = limits
        self._parser = parser
        self._stack = stack
        self._reader = reader
        self._first: list[Chunk] = []
        self._rest: Any = None
        self._received = 0

    async def chunks(self) -> AsyncIterator[list[Chunk]]:
        """The answer, a list per read. Raises UpstreamError where it breaks off or falls silent."""
        if self._first:
            yield self._first
        while True:
            batch = await self.read(self._deadlines.idle)
            if batch is None:
                break
            if batch:
                yield batch

    async def peek(self, seconds: float) -> None:
        """Read up to the first piece of content (or the end of an answer without any). Raises UpstreamError."""
        try:
            async with asyncio.timeout(seconds):
                while not any(chunk.has_content or chunk.finish_reason for chunk in self._first):
                    batch = await self.read(seconds)
                    if batch is None:
                        raise UpstreamError("The provider's answer is empty.", kind="malformed", retryable=True)
                    self._first += batch
        except TimeoutError:
            raise silence("sent nothing") from None

    async def read(self, seconds: float) -> list[Chunk] | None:
        """The next pieces; None at the clean end."""
        if self._reader is None:
            return None
        data = await next_piece(self._reader, seconds)
        if not data:
            self._reader, self._rest = None, None
            return self._parser.finish()
        self._received += len(data)
        if self._received > self._deadlines.stream_bytes:
            raise UpstreamError("The provider's answer is too long.", kind="malformed", retryable=True)
        chunks = self._parser.feed(data)
        if self._parser.is_finished:
            self._reader, self._rest = None, self._reader
            chunks += self._parser.finish()
        return chunks

    async def close(self) -> None:
        """Let the connection go; an unfinished answer is cancelled at the provider."""
        with contextlib.suppress(PyreqwestError, TimeoutError):
            if self._rest is not None:  # the few bytes after the end, so that the connection can be used again
                async with asyncio.timeout(DRAIN_SECONDS):
                    while await self._rest.read_chunk() is not None:
                        pass
        self._reader, self._rest = None, None
        with contextlib.suppress(PyreqwestError):
            await self._stack.aclose()


class Download:
    """An answer of bytes, passed on as it comes; its first piece has been read."""

    __slots__ = ("_first", "_limits", "_reader", "_stack", "content_type")

    def __init__(
        self, first: bytes, *, limits: Deadlines, content_type: str, stack: contextlib.AsyncExitStack, reader: Any
    ) -> None:
        self.content_type = content_type
        self._first = first
        self._limits = limits
        self._stack = stack
        self._reader = reader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes, a piece per read. Raises UpstreamError where they break off, fall silent or are too many."""
        yield self._first
        received = len(self._first)
        while data := await next_piece(self._reader, self._limits.idle):
            received += len(data)
            if received > self._limits.stream_bytes:
                raise UpstreamError("The provider's answer is too long.", kind="malformed", retryable=True)
            yield data

    async def close(self) -> None:
        """Let the connection go."""
        with contextlib.suppress(PyreqwestError):
            await self._stack.aclose()


async def next_piece(reader: Any, seconds: float) -> bytes:
    """The next bytes of a body; none at its clean end. Raises UpstreamError."""
    try:
        async with asyncio.timeout(seconds):
            data = await reader.read_chunk()
    except (TimeoutError, RequestTimeoutError):
        raise silence("fell silent") from None
    except PyreqwestError:
        raise UpstreamError("The provider broke the connection.", kind="cut", retryable=True) from None
    return bytes(data) if data is not None else b""


async def read_all(reader: Any, most: int, *, cut: bool = False) -> bytes:
    """The body, at most so many bytes; a longer one is cut off or refused."""
    parts: list[bytes] = []
    size = 0
    while (data := await reader.read_chunk()) is not None:
        parts.append(bytes(data))
        size += len(data)
        if size > most:
            if cut:
                break
            raise UpstreamError("The provider's answer is too long.", kind="malformed", retryable=True)
    return b"".join(parts)[:most]


def silence(what: str) -> UpstreamError:
    """The provider let a deadline pass."""
    return UpstreamError(f"The provider {what} in time.", kind="timeout", retryable=True)


def broken(error: PyreqwestError) -> UpstreamError:
    """The connection failed, in words that are the caller's to know."""
    if isinstance(error, RequestTimeoutError | ConnectTimeoutError):
        return silence("did not answer")
    if isinstance(error, ConnectError):
        return UpstreamError("The provider could not be reached.", kind="unavailable", retryable=True)
    return UpstreamError("The provider broke the connection.", kind="cut", retryable=True)
