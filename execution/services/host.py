"""This worker's agent: the owner of the warm models on this machine, one per worker process."""

from __future__ import annotations

import threading

from django.conf import settings

from execution.agent.agent import Agent
from execution.runtimes.base import InstanceSpec, RunLimits
from execution.services import builds
from marketplace.lib import env
from marketplace.models import Version

_lock = threading.Lock()
_agent: Agent | None = None


def hardware() -> str:
    """The hardware class that this worker offers."""
    return env.text("TURNPIKE_HARDWARE", "cpu")


def agent() -> Agent:
    """The agent, started on first use: it reaps what a dead predecessor left."""
    global _agent
    with _lock:
        if _agent is None:
            slots = env.integer("TURNPIKE_SLOTS", 2, minimum=1)
            fresh = Agent(hardware=hardware(), slots=slots, var=settings.VAR, kind="host")
            fresh.start()
            _agent = fresh
        return _agent


def drain() -> None:
    """Take no more work and end the warm models when theirs is done; called when the worker stops."""
    with _lock:
        if _agent is not None:
            _agent.drain()


def spec_of(version: Version, *, run_limits: RunLimits | None = None) -> InstanceSpec:
    """What the agent needs to start a version."""
    return InstanceSpec(
        version_id=version.pk, build=builds.folder(version.build_path), limits=run_limits or RunLimits()
    )
