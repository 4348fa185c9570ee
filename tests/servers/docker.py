"""A throw-away Docker engine: its own data, its own socket, no network of its own; ended by pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import psutil

from execution.builders import base_image
from execution.runtimes import engine
from tests.servers import ahead, binaries

START_SECONDS = 60.0


class DockerEngine:
    """`with DockerEngine() as engine:` starts dockerd as root and gives it the base image; leaving ends all of it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="turnpike-docker-"))
        self.host = f"unix://{self.folder}/docker.sock"
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
            self._give_base_image()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(Exception):
                self._remove_containers()
            family = [process.pid]
            with contextlib.suppress(psutil.Error):
                family += [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                for pid in reversed(family):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> docker.DockerClient:
        """A client of this engine; the caller closes it."""
        return docker.DockerClient(base_url=self.host, timeout=120)

    @property
    def log(self) -> str:
        """What dockerd said."""
        return (self.folder / "log").read_text(errors="replace")

    def _start(self) -> None:
        program = binaries.docker_engine()
        assert program is not None
        options = ["--data-root", str(self.data), "--exec-root", str(self.folder / "exec"), "--host", self.host]
        plain = ["--pidfile", str(self.folder / "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false"]
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, *options, *plain], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + START_SECONDS
        while not (self.folder / "docker.sock").exists() or not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{self.log[-3000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        client = docker.DockerClient(base_url=self.host, timeout=5)
        try:
            return bool(client.ping())
        except Exception:
            return False
        finally:
            client.close()

    def _give_base_image(self) -> None:
        archive = base_image.tree(folder=ahead.BASE, log=print)  # fetched once for all runs
        client = self.client()
        try:
            base_image.load(client=client, archive=archive, name=engine.base_image())
        finally:
            client.close()

    def _remove_containers(self) -> None:
        client = self.client()
        try:
            for container in client.containers.list(all=True):
                container.remove(force=True)
        finally:
            client.close()
