"""One prediction on a process instance: Cog's events in, ours out, every bound kept from outside."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from execution.runtimes.base import Alive, Event, FileSink, Finished, Log, Output, ProducedFile, Started
from execution.runtimes.cog import Gone, Refused, plain_error
from execution.runtimes.cog_events import Message
from execution.runtimes.door import Visit

if TYPE_CHECKING:
    from execution.runtimes.process_instance import ProcessInstance

ALIVE_SECONDS: Final = 0.5
DATA_URI: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.-]+)*;base64,")
METRICS_BYTES: Final = 16 * 1024


@dataclass(slots=True)
class Run:
    """The state of one prediction while it runs."""

    instance: ProcessInstance
    prediction_id: str
    input: Mapping[str, Any]
    visit: Visit
    sink: FileSink
    is_iterator: bool
    is_canceled: Callable[[], bool]
    run_seconds: float
    _stop: threading.Event = field(default_factory=threading.Event)
    _began: float = 0.0
    _log_room: int = 0
    _output_bytes: int = 0
    _cancel_since: float | None = None
    _cancel_error: str = ""
    _alive_at: float = 0.0
    _asked_at: float = 0.0

    def events(self) -> Iterator[Event]:
        """Started, what happens, Finished."""
        self._began = self._alive_at = time.monotonic()
        self._log_room = self.instance.limits.log_bytes
        finished = False
        try:
            for event in self._follow():
                finished = isinstance(event, Finished)
                yield event
                if finished:
                    return
        finally:
            self._stop.set()
            if not finished:  # the caller lost interest: the slot must be free again, or the instance goes
                self._abandon()

    def _abandon(self) -> None:
        instance = self.instance
        instance.cancel(self.prediction_id)
        deadline = time.monotonic() + instance.limits.cancel_seconds
        while instance.health() == "busy" and time.monotonic() < deadline:
            time.sleep(0.05)
        if instance.health() != "ready":
            instance.stop()

    def _follow(self) -> Iterator[Event]:
        body = {"input": self.input}
        try:
            for message in self.instance.client.run(
                prediction_id=self.prediction_id,
                body=body,
                stop=self._stop,
                on_wait=lambda: not self.is_canceled(),
                wants_logs=lambda: self._log_room > 0,
            ):
                if message is not None:
                    yield from self._on(message)
                now = time.monotonic()
                if message is None and now - self._alive_at >= ALIVE_SECONDS:
                    self._alive_at = now
                    yield Alive()
                if over := self._over(now):
                    yield over
            yield self._lost()
        except Refused as refused:
            if self.is_canceled():
                yield self._end("canceled")
            elif self.instance.health() in ("lost", "starting"):
                yield self._lost()
            else:
                yield self._end("failed", error=f"The model refused the input: {refused}")
        except _CutOff:
            # Cog gives up on a reader that is 1,024 events behind, and with a webhook to fall back on it would copy the
            # whole log for every line.
            yield self._kill("it wrote its log faster than this host could read it")
        except (Gone, _Unreadable):
            yield self._lost()

    def _over(self, now: float) -> Finished | None:
        """The end, when a bound was met or a cancel was not heeded."""
        if self.visit.violation:
            return self._kill(self.visit.violation)
        if self._cancel_since is None:
            if now - self._began > self.run_seconds:
                self._begin_cancel(f"The run took longer than the limit of {self.run_seconds:g} s.")
            elif now - self._asked_at >= ALIVE_SECONDS / 2:
                self._asked_at = now
                if self.is_canceled():
                    self._begin_cancel("")
        elif now - self._cancel_since > self.instance.limits.cancel_seconds:
            self.instance.stop()
            status = "failed" if self._cancel_error else "canceled"
            return self._end(status, error=self._cancel_error, lost=True)
        return None

    def _begin_cancel(self, error: str) -> None:
        self._cancel_since, self._cancel_error = time.monotonic(), error
        self.instance.cancel(self.prediction_id)

    def _kill(self, violation: str) -> Finished:
        """A bound was broken: the instance may hold gigabytes by now, so it goes with its prediction."""
        self.instance.stop()
        return self._end("failed", error=f"The run was stopped: {violation}.", lost=True)

    def _lost(self) -> Finished:
        if self._cancel_since is not None and not self._cancel_error:
            return self._end("canceled", lost=True)
        if self.visit.violation:
            return self._kill(self.visit.violation)
        reason = self._cancel_error or f"The model's process ended in the middle of the run: {self.instance.death()}."
        self.instance.stop()
        return self._end("failed", error=reason, lost=True)

    def _end(
        self, status: str, *, error: str = "", metrics: Mapping[str, Any] | None = None, lost: bool = False
    ) -> Finished:
        seconds = time.monotonic() - self._began
        return Finished(status=status, error=error, seconds=seconds, metrics=metrics or {}, instance_lost=lost)

    def _on(self, message: Message) -> Iterator[Event]:
        if message.name == "start":
            self._began = time.monotonic()
            yield Started()
        elif message.name == "log":
            yield from self._log(_text(message, "data"), cut="data" in message.data.cut)
        elif message.name == "output":
            yield from self._output(message)
        elif message.name == "error":
            raise _CutOff(_text(message, "error"))
        elif message.name == "completed":
            yield from self._completed(message)

    def _log(self, text: str, *, cut: bool) -> Iterator[Event]:
        if self._log_room <= 0:
            return
        size = len(text.encode("utf-8", "replace"))
        if size < self._log_room and not cut:
            self._log_room -= size
            yield Log(text)
            return
        kept = text.encode("utf-8", "replace")[: self._log_room].decode("utf-8", "ignore")
        self._log_room = 0
        yield Log(
            f"{kept}\n[The log is cut here: it is longer than the limit of {self.instance.limits.log_bytes} bytes.]\n"
        )

    def _output(self, message: Message) -> Iterator[Event]:
        limit = self.instance.limits.output_bytes
        self._output_bytes += len(message.data.values.get("chunk", b""))
        if "chunk" in message.data.cut or self._output_bytes > limit:
            yield self._kill(f"its output is over the limit of {limit} bytes")
        elif self.is_iterator:
            try:
                yield Output(self._with_files(_value(message, "chunk")), append=True)
            except _TooMuch as error:
                yield self._kill(str(error))

    def _completed(self, message: Message) -> Iterator[Event]:
        data = message.data
        status, error = _text(message, "status"), plain_error(_text(message, "error"))
        metrics = _value(message, "metrics") if len(data.values.get("metrics", b"")) <= METRICS_BYTES else {}
        metrics = metrics if isinstance(metrics, dict) else {}
        if self.visit.violation:
            yield self._kill(self.visit.violation)
            return
        if status == "succeeded" and not self.is_iterator:
            if "output" in data.cut:
                yield self._kill(f"its output is over the limit of {self.instance.limits.output_bytes} bytes")
                return
            try:
                yield Output(self._with_files(_value(message, "output")), append=False)
            except _TooMuch as too_much:
                yield self._kill(str(too_much))
                return
        if status == "failed" and error == "Worker crashed":
            yield self._lost()
            return
        if self._cancel_error:
            yield self._end("failed", error=self._cancel_error, metrics=metrics)
        elif status == "succeeded":
            yield self._end("succeeded", metrics=metrics)
        elif status == "canceled":
            yield self._end("canceled", metrics=metrics)
        else:
            if "MemoryError" in error:
                error = f"{error.rstrip(' :')} (the limit is {self.instance.limits.memory_bytes} bytes)"
            yield self._end("failed", error=error or "The model ended the run without a result.", metrics=metrics)

    def _with_files(self, value: Any) -> Any:
        """The output with files handed to the sink: those that came through the door, and data URIs."""
        if isinstance(value, str):
            if produced := self.visit.produced.pop(value, None):
                return self.sink(produced)
            found = DATA_URI.match(value[:300])
            return self._from_data_uri(value, found) if found else value
        if isinstance(value, dict):
            return {key: self._with_files(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._with_files(one) for one in value]
        return value

    def _from_data_uri(self, value: str, found: re.Match[str]) -> str:
        try:
            content = base64.b64decode(value[found.end() :], validate=True)
        except (binascii.Error, ValueError):
            return value
        number = self.visit.reserve(len(content))
        if number < 0:
            raise _TooMuch(self.visit.violation)
        path = self.visit.folder / f"{number}"
        path.write_bytes(content)
        name = f"output-{number}{mimetypes.guess_extension(found[1]) or ''}"
        return self.sink(ProducedFile(path=path, name=name, content_type=found[1], size=len(content)))


def _text(message: Message, name: str) -> str:
    try:
        return message.data.text(name)
    except ValueError as error:
        raise _Unreadable(name) from error


def _value(message: Message, name: str) -> Any:
    try:
        return message.data.read(name)
    except ValueError as error:
        raise _Unreadable(name) from error


class _Unreadable(Exception):
    """The server sent what is no JSON: nothing more can be believed of it."""


class _CutOff(Exception):
    """Cog has given up on us as a reader; the run goes on."""


class _TooMuch(Exception):
    """A limit on output files is broken; the text names it."""
