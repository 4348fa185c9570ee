"""This worker's agent: the owner of the warm models on this machine, one per worker process."""

from __future__ import annotations

import threading

import structlog
from django.conf import settings
from django.db import connection

from execution import limits, schema
from execution.agent.agent import Agent
from execution.agent.chat_door import ChatDoor
from execution.runtimes.base import InstanceSpec, RunLimits
from execution.services import builds, chats, machine, trust
from marketplace.lib.errors import Forbidden
from marketplace.models import Version

logger = structlog.get_logger(__name__)

_lock = threading.Lock()
_agent: Agent | None = None
_chat_door: ChatDoor | None = None


def agent() -> Agent:
    """The agent, started on first use: it reaps what a dead predecessor left."""
    global _agent
    with _lock:
        if _agent is None:
            fresh = Agent(hardware=machine.hardware(), capacity=machine.capacity(), var=settings.VAR, kind="host")
            fresh.start()
            _agent = fresh
        return _agent


def chat_spec(version_id: str) -> InstanceSpec | None:
    """How to start a version that serves chats; None for any other. For threads that are not the worker's own."""
    try:
        version = Version.objects.select_related("model__publisher__account").filter(pk=version_id).first()
        if version is None or schema.chat_offer(version.openapi_schema) is None:
            return None
        trust.require(account=version.model.publisher.account)
        return spec_of(version)
    except Forbidden:  # no longer trusted on this site
        return None
    finally:
        connection.close()


def open_chat_door() -> None:
    """Let the gateway reach this host's servers of chats, where the operator has given them a port."""
    global _chat_door
    if not settings.CHAT_PORT:
        return
    chats.readdress()
    with _lock:
        if _chat_door is not None:
            return
    owner = agent()
    with _lock:
        try:
            _chat_door = ChatDoor(
                agent=owner, host=settings.CHAT_HOST, port=settings.CHAT_PORT, token=chats.token(), find=chat_spec
            )
        except OSError as error:  # another worker of this host has it
            logger.warning("chat_door_shut", port=settings.CHAT_PORT, reason=str(error))


def serves_chats() -> bool:
    """Whether the gateway reaches servers of chats on this host."""
    with _lock:
        return _chat_door is not None


def drain() -> None:
    """Take no more work and end the warm models when theirs is done; called when the worker stops."""
    with _lock:
        if _chat_door is not None:
            _chat_door.close()
        if _agent is not None:
            _agent.drain()


def spec_of(version: Version, *, run_limits: RunLimits | None = None, trains: str = "") -> InstanceSpec:
    """What the agent needs to start a version, or its train function for the training of this id."""
    if trains:
        run_limits = RunLimits(
            tmp_bytes=2 * limits.MAX_WEIGHTS_BYTES,
            file_bytes=limits.MAX_WEIGHTS_BYTES,
            files_bytes=limits.MAX_WEIGHTS_BYTES,
        )
    return InstanceSpec(
        version_id=version.pk,
        build=builds.folder(version.build_path),
        trains=trains,
        tenant=str(version.model.publisher_id),
        gpu_memory=version.gpu_memory_mib,
        limits=run_limits or RunLimits(),
    )
