"""One build at this host's Docker engine: images made, commands run in them, all of it bounded and swept away."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from execution.builders import dockerfiles, steps
from execution.builders.base import BuildCanceled, BuildFailed, BuildLimits
from execution.runtimes import engine
from execution.runtimes.base import RunLimits

LOOK_SECONDS: Final = 0.5
PULSE: Final = re.compile(r"^(?:Step \d+/\d+ : |---> |Removing intermediate|Successfully )")
_under_way = threading.Lock()
_count = 0


class Work:
    """One build at the engine."""

    def __init__(
        self,
        client: docker.DockerClient,
        found: engine.Engine,
        log: Callable[[str], None],
        limits: BuildLimits,
        is_canceled: Callable[[], bool],
    ) -> None:
        self.client, self.engine, self.limits = client, found, limits
        self._is_canceled = is_canceled
        self._lines = log
        self._deadline = time.monotonic() + limits.seconds
        self._id = os.urandom(8).hex()

    def log(self, line: str) -> None:
        """One line, without the passwords of its addresses."""
        self._lines(steps.masked(line[: steps.MAX_LINE]))

    def image(
        self,
        dockerfile: str,
        context: bytes,
        *,
        what: str,
        network: str,
        tag: str = "",
        labels: Mapping[str, str] | None = None,
        arguments: Mapping[str, str] | None = None,
        heard: list[str] | None = None,
    ) -> str:
        """Build one image; its id. Raises BuildFailed with the engine's last words, BuildCanceled."""
        # The label makes the containers of its steps, and what is left of a failure, known as ours.
        first, _, rest = dockerfile.partition("\n")
        marked = f"{first}\nLABEL {engine.LABEL}=build {engine.LABEL}.build={self._id}\n{rest}"
        words: list[str] = [] if heard is None else heard
        watch = _Watch(self.client, self._id, self._deadline, self._is_canceled)
        with watch:
            answer = self.client.api.build(
                fileobj=io.BytesIO(dockerfiles.with_file(context, "Dockerfile", marked)),
                custom_context=True,
                rm=True,
                forcerm=True,
                pull=False,
                decode=True,
                network_mode=network,
                tag=tag or None,
                labels=dict(labels or {}),
                buildargs=dict(arguments or {}),
                container_limits={"memory": self.limits.memory_bytes, "memswap": self.limits.memory_bytes},
            )
            image = self._follow(answer, words)
        if watch.reason:
            raise (
                BuildCanceled("Canceled.")
                if watch.reason == "canceled"
                else BuildFailed(f"{what} took longer than the limit of {self.limits.seconds:g} s.")
            )
        if not image:
            raise BuildFailed(f"{what} could not be built: {' '.join(words[-3:])[:1500] or 'the engine says no more'}")
        size = int(self.client.images.get(image).attrs["Size"])
        if size > self.limits.environment_bytes:
            self.forget(image)
            raise BuildFailed(f"{what} take {size} bytes; the limit is {self.limits.environment_bytes}.")
        return image

    def _follow(self, answer: Iterator[Mapping[str, Any]], words: list[str]) -> str:
        """Lines into the log until the end; the image's id, or nothing when it failed."""
        image, failed = "", False
        lines = steps.Lines(lambda line: self._hear(line, words))
        for event in answer:
            if "stream" in event:
                lines.feed(str(event["stream"]).encode())
            if "error" in event:
                failed = True
                lines.finish()
                self._hear(str(event["error"]), words)
            if "aux" in event and "ID" in event["aux"]:
                image = str(event["aux"]["ID"])
        lines.finish()
        return "" if failed else image

    def _hear(self, line: str, words: list[str]) -> None:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if line and not PULSE.match(line) and not re.fullmatch(r"---> [0-9a-f]{12}", line):
            words.append(line)
            self._lines(line)

    def once(
        self, image: str, command: Sequence[str], mounts: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        """Run a command behind the walls: its status, its output and what it complained."""
        bounds = RunLimits(memory_bytes=self.limits.memory_bytes)
        container = self.client.containers.create(
            image,
            list(command),
            entrypoint=[],
            working_dir="/src" if mounts else "/",
            environment={"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108  the container's own
            labels={engine.LABEL: "build"},
            **engine.walls(limits=bounds, engine=self.engine, mounts=mounts),
        )
        try:
            container.start()
            deadline = min(self._deadline, time.monotonic() + self.limits.inspect_seconds)
            while container.status != "exited":
                if self._is_canceled():
                    raise BuildCanceled("Canceled.")
                if time.monotonic() > deadline:
                    raise BuildFailed(f"Importing the predictor took longer than {self.limits.inspect_seconds:g} s.")
                time.sleep(0.05)
                container.reload()
            output = bytes(container.logs(stdout=True, stderr=False))[: steps.MAX_OUTPUT]
            said = bytes(container.logs(stdout=False, stderr=True))[: steps.MAX_OUTPUT].decode("utf-8", "replace")
            return int(container.attrs["State"]["ExitCode"]), output, said
        finally:
            container.remove(force=True)

    def forget(self, image: str) -> None:
        """Remove an image that was a step only; layers that others stand on stay."""
        with suppress(APIError, ImageNotFound):
            self.client.images.remove(image, noprune=False)


class _Watch:
    """Kills the containers of a build's steps when its time is over or somebody cancels it."""

    def __init__(
        self, client: docker.DockerClient, build_id: str, deadline: float, is_canceled: Callable[[], bool]
    ) -> None:
        self.reason = ""
        self._client, self._build_id, self._deadline, self._is_canceled = client, build_id, deadline, is_canceled
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="build-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if not self.reason:
                self.reason = "canceled" if self._is_canceled() else "late" if time.monotonic() > self._deadline else ""
            if self.reason:
                with suppress(DockerException):
                    ours = f"{engine.LABEL}.build={self._build_id}"
                    for container in self._client.containers.list(filters={"label": ours}):
                        with suppress(APIError):
                            container.kill()


@contextmanager
def swept(client: docker.DockerClient) -> Iterator[None]:
    """What a failed build leaves in the engine goes with it, once no other build of this process may stand on it."""
    global _count
    with _under_way:
        _count += 1
    try:
        yield
    finally:
        with _under_way:
            _count -= 1
            if _count == 0:
                with suppress(DockerException):
                    client.images.prune(filters={"dangling": True, "label": f"{engine.LABEL}=build"})
