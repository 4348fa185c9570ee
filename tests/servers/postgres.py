"""A throw-away PostgreSQL on a free port; durable to nothing but its own process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.servers import binaries, ports

# The data is thrown away, so nothing needs to reach the disk.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class Postgres:
    """`with Postgres() as server: server.url`. Runs as the user postgres when we are root, for it refuses root."""

    def __init__(self) -> None:
        found = binaries.postgres_bin()
        if found is None:
            raise FileNotFoundError("PostgreSQL is not installed (initdb, postgres).")
        self._bin = found
        self._folder = Path(tempfile.mkdtemp(prefix="turnpike-pg-"))
        self.port = ports.free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the database `turnpike`."""
        return self.url_of("turnpike")

    def url_of(self, database: str) -> str:
        """The address of any database of this server."""
        return f"postgresql://turnpike@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        try:
            if os.geteuid() == 0:
                shutil.chown(self._folder, "postgres")
            data = str(self._folder / "data")
            self._run("initdb", "--pgdata", data, "--username=turnpike", "--auth=trust", "--encoding=UTF8", "--no-sync")
            self.start()
            self.create("turnpike")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, database: str) -> str:
        """Make an empty database; its address."""
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
        return self.url_of(database)

    def start(self) -> None:
        """Start the server (again) on its data; returns when it takes connections."""
        settings = [f"-c{name}={value}" for name, value in FAST.items()]
        command = [*self._as_postgres(), str(self._bin / "postgres"), "-D", str(self._folder / "data")]
        place = ["-p", str(self.port), "-k", str(self._folder), "-clisten_addresses=127.0.0.1"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *place, *settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End the server at once; open connections are cut."""
        if self._process is None:
            return
        pid_file = self._folder / "data" / "postmaster.pid"
        # runuser stands between us and the server and would not pass SIGQUIT on.
        pid = int(pid_file.read_text().split()[0]) if pid_file.exists() else self._process.pid
        try:
            os.kill(pid, signal.SIGQUIT)
            self._process.wait(timeout=30)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _as_postgres(self) -> list[str]:
        return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_postgres(), str(self._bin / program), *arguments], capture_output=True, text=True, cwd="/"
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}")
