"""`manage.py serve`: everything at once, under one supervisor. `make run` ends here."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from marketplace import demo, supervisor
from marketplace.lib import env, jobs
from marketplace.supervisor import Program, StepFailed, Supervisor

READY_WITHIN = 120.0
MANAGE = (sys.executable, str(settings.BASE_DIR / "manage.py"))
# Django's checks would read every page and route, which web reads next.
UNCHECKED = ("--skip-checks",)


class Command(BaseCommand):
    help = "Run web, worker, beat and the simulated providers, and start each again if it dies."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            host, port = env.text("HOST", "127.0.0.1"), env.integer("PORT", 8000, minimum=1)
        except env.BadSetting as error:
            raise CommandError(str(error)) from None
        try:
            with supervisor.exclusive(settings.VAR):
                _refuse_taken(host, port)
                code = asyncio.run(self._serve(host, port))
        except supervisor.AlreadyRunning as error:
            raise CommandError(
                f"Turnpike already runs on {settings.VAR} (process {error}). End that one first, "
                "or give this one a folder and a port of its own: TURNPIKE_VAR=/some/folder PORT=8001 make run"
            ) from None
        sys.exit(code)

    def say(self, text: str) -> None:
        """One line for the terminal, with the time."""
        self.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}")
        self.stdout.flush()

    async def _serve(self, host: str, port: int) -> int:
        ports = demo.settle_ports()
        (settings.VAR / "chat-port").write_text(str(demo.chat_port()))
        address = f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104  a comparison
        children = Supervisor(var=settings.VAR, environment=_environment(address), say=self.say)
        _on_signals(children)
        examples: asyncio.Task[None] | None = None
        await children.prepare()
        for late in children.run_dir.glob("answer-*"):
            late.unlink(missing_ok=True)
        try:
            for provider in demo.SIMULATED:
                arguments = provider.arguments(port=ports[provider.slug])
                children.start(Program(provider.slug, (sys.executable, *arguments), stop_rank=3))
            self.say("preparing the database and the demo data")
            await children.step("migrate", (*MANAGE, "migrate", "--noinput", "--verbosity=1", *UNCHECKED))
            await children.step("seed", (*MANAGE, "seed_demo", *UNCHECKED))
            for program in _programs(host, port):
                children.start(program)
            await self._wait_until_ready(children, host, port, list(ports.values()))
            self.stdout.write(demo.welcome(address=address))
            self.stdout.flush()
            if env.flag("DEMO_EXAMPLES", default=True):
                examples = asyncio.create_task(self._publish_examples(children))
            await children.stopping.wait()
        except StepFailed as error:
            self.stderr.write(str(error))
            return 1
        except asyncio.CancelledError:
            return 130
        finally:
            self.say("stopping")
            await children.stop()
            if examples is not None:
                await examples
        return 0

    async def _publish_examples(self, children: Supervisor) -> None:
        """Behind all else: the worker builds them one after the other, which may take minutes."""
        self.say(f"publishing the example models, see {children.log_path('examples')}")
        try:
            await children.step("examples", (*MANAGE, "seed_examples"))
        except StepFailed as error:
            self.say(str(error))
        except asyncio.CancelledError:
            self.say("the rest of the example models is published at the next start")
        else:
            self.say("the example models are in place, as far as this host can build them")

    async def _wait_until_ready(self, children: Supervisor, host: str, port: int, simulated: list[int]) -> None:
        """Until web answers, the providers listen and a worker has done a task; says what is late after a while."""
        waiting: dict[str, Callable[[], Awaitable[bool]]] = {
            "web": partial(_answers, host, port),
            "worker": _worker_answers,
            **{f"provider on port {each}": partial(_listens, "127.0.0.1", each) for each in simulated},
        }
        started = time.monotonic()
        complained = False
        while waiting:
            if children.stopping.is_set():
                raise asyncio.CancelledError
            done = [name for name, check in waiting.items() if await check()]
            for name in done:
                del waiting[name]
            if waiting and not complained and time.monotonic() - started > READY_WITHIN:
                self.say(f"still waiting for {', '.join(waiting)}; see {children.log_dir}")
                complained = True
            await asyncio.sleep(0.1)


def _refuse_taken(host: str, port: int) -> None:
    """Raise CommandError, with the way out, where web could not listen."""
    error = demo.why_taken(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise CommandError(f"Port {port} on {host} is taken by another program. Another one: make run PORT={port + 1}")
    raise CommandError(f"Cannot listen on {host}, port {port}: {error.strerror}. Change HOST or PORT.")


def _programs(host: str, port: int) -> list[Program]:
    """Web, worker and beat; beat stops first, then web lets its callers go, then the worker its tasks."""
    celery = (sys.executable, "-m", "celery", "--app", "marketplace")
    web = (
        *(sys.executable, "-m", "uvicorn", "marketplace.asgi:application", "--host", host, "--port", str(port)),
        *("--no-access-log", "--ws", "none", "--timeout-graceful-shutdown", "4"),
    )
    worker = (
        *(*celery, "worker", "--pool", "threads", "--concurrency", str(env.integer("WORKER_THREADS", 16, minimum=1))),
        *("--queues", env.text("WORKER_QUEUES", "default,build,hw-cpu"), "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    schedule = settings.VAR / "run" / "beat-schedule"
    beat = (*celery, "beat", "--schedule", str(schedule), "--pidfile=", "--loglevel", "WARNING")
    return [
        Program("web", web, stop_rank=1, grace=6),
        Program("worker", worker, stop_rank=2, grace=8),
        Program("beat", beat, stop_rank=0, grace=3),
    ]


def _environment(address: str) -> dict[str, str]:
    """The children's environment: ours, and where simulated providers and hosted chats are reached."""
    origins = [*env.words("TURNPIKE_PRIVATE_ORIGINS"), *demo.origins()]
    return {
        "PUBLIC_URL": address,
        "TURNPIKE_CHAT_PORT": str(demo.chat_port()),
        **os.environ,
        "TURNPIKE_VAR": str(settings.VAR),
        "TURNPIKE_PRIVATE_ORIGINS": ",".join(dict.fromkeys(origins)),
        "DJANGO_SETTINGS_MODULE": "marketplace.settings",
        "PYTHONUNBUFFERED": "1",
    }


def _on_signals(children: Supervisor) -> None:
    """The first signal asks for an orderly end, the second ends at once."""

    def stop() -> None:
        if children.stopping.is_set():
            children.kill()
        children.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)


async def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False


async def _answers(host: str, port: int) -> bool:
    """True if GET /healthz is a 200."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(_reachable(host), port)
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            status = await reader.readline()
            writer.close()
            return b" 200 " in status
    return False


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  a comparison


async def _worker_answers() -> bool:
    """True once a worker has taken a task from the broker and written the answer into var/run."""
    nonce = uuid.uuid4().hex
    answer = settings.VAR / "run" / f"answer-{nonce}"
    await asyncio.to_thread(jobs.send, "marketplace.answer", nonce=nonce)
    deadline = time.monotonic() + 2
    try:
        while time.monotonic() < deadline:
            if answer.exists():
                return True
            await asyncio.sleep(0.05)
        return False
    finally:
        answer.unlink(missing_ok=True)
