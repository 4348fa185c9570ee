"""Probes of idle endpoints: who has had no call for a while is asked for a word, so that what is known of it is fresh.

A probe is an ordinary request through the gateway, by the key that the operator has set for it: held, settled and
recorded as anybody's, paid by that key's account, and bounded by the key's limit. It runs in a web process, since
there is where what is learned of endpoints lives; the others hear of it as of any call. One probe runs at a time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

import structlog
from django.conf import settings
from django.utils import timezone

from marketplace import names
from marketplace.lib import pool
from marketplace.lib.errors import AppError
from marketplace.models import Endpoint, Model
from marketplace.services import keys
from marketplace.services.keys import Caller
from routing.adapters.registry import dialects_of
from routing.canonical import ChatRequest, Message, Text
from routing.services import chat, metrics, operations, probes, turns
from routing.services.chat import Broken
from routing.services.health import HEALTH

logger = structlog.get_logger(__name__)

TURN: Final = "idle-probe"
MINUTE: Final = dt.timedelta(minutes=1)
# Longer than a probe can take: its first piece and its stream have deadlines of their own.
LEASE: Final = dt.timedelta(minutes=5)
WORDS: Final = "Say the word: ready"
MAX_TOKENS: Final = 16  # OpenAI's Responses takes no less
# What is cheap to ask for; pictures, speech and films are not asked for unless somebody wants them.
CHEAP: Final = ("chat", "embeddings", "rerank")


@dataclass(frozen=True, slots=True)
class Due:
    """An endpoint that it is our turn to probe."""

    caller: Caller
    endpoint_id: int
    model: str
    operation: str
    taken_until: dt.datetime
    next_at: dt.datetime


async def run() -> None:
    """For as long as the web process lives. Returns at once where no key pays for probes."""
    if not settings.IDLE_PROBE_KEY:
        return
    while True:
        await asyncio.sleep(_pace().total_seconds())
        try:
            await probe_next()
        except AppError as error:  # the key is no (longer a) key
            logger.warning("idle_probes_refused", reason=str(error))
        except Exception:  # ours: say so, and go on
            logger.exception("idle_probe_broke")


async def probe_next() -> str | None:
    """Probe the endpoint that was idle longest, if there is one and the turn is ours: ok, failed or refused.

    Raises Unauthorized where the key is none.
    """
    due = await pool.run(claim)
    if due is None:
        return None
    try:
        outcome = await _ask(due)
    finally:
        await pool.run(turns.give_back, TURN, taken_until=due.taken_until, due_at=due.next_at)
    metrics.probed(outcome)
    logger.info("idle_endpoint_probed", endpoint=due.endpoint_id, outcome=outcome)
    return outcome


def claim(*, now: dt.datetime | None = None) -> Due | None:
    """The endpoint to be probed now, claimed for this process; None where none is idle or another has the turn.

    An endpoint that was claimed is left alone for as long as one may be idle, whatever becomes of its probe.
    """
    now = now or timezone.now()
    if not turns.is_due(TURN, now=now):
        return None
    caller = keys.authenticate(settings.IDLE_PROBE_KEY)
    endpoint = _idlest(caller.account_id, now=now)
    taken_until = now + LEASE
    if endpoint is None or not turns.take(TURN, now=now, until=taken_until):
        return None
    turns.take(_name(endpoint.pk), now=now, until=now + _most_idle())
    operation = probes.operation_of(endpoint) or ""
    return Due(caller, endpoint.pk, endpoint.model.full_slug, operation, taken_until, now + _pace())


def _idlest(account_id: int, *, now: dt.datetime) -> Endpoint | None:
    """The endpoint whose last probe is longest ago (or never was), of those that this process has heard nothing of."""
    rows = (
        Endpoint.objects.filter(
            is_active=True, provider__is_active=True, model__in=Model.objects.visible_to(account_id)
        )
        # A creator's own server would be started for it.
        .exclude(provider__slug__startswith=names.HOSTED)
        .select_related("model__publisher", "provider")
        .order_by("pk")
    )
    found = {row.pk: row for row in rows if _is_cheap(row)}
    heard = HEALTH.summaries(list(found), seconds=int(_most_idle().total_seconds()))
    probed = turns.known(f"{TURN}:")
    idle = [pk for pk in found if not (pk in heard and heard[pk].calls) and probed.get(_name(pk), now) <= now]
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    pk = min(idle, key=lambda pk: (probed.get(_name(pk), never), pk), default=None)
    return None if pk is None else found[pk]


def _is_cheap(endpoint: Endpoint) -> bool:
    operation = probes.operation_of(endpoint)
    return operation in CHEAP and endpoint.provider.dialect in dialects_of(operation)


async def _ask(due: Due) -> str:
    try:
        if due.operation != "chat":
            request = replace(probes.SMALL[due.operation], model=due.model)
            operation = probes.RULES[due.operation]
            await operations.perform(
                caller=due.caller, request=request, operation=operation, endpoint_id=due.endpoint_id
            )
            return "ok"
        return await _chat(due)
    except AppError as error:
        if "X-Generation-Id" in error.headers:  # it was admitted, and the endpoint did not answer
            return "failed"
        logger.warning("idle_probe_refused", endpoint=due.endpoint_id, reason=str(error))
        return "refused"


async def _chat(due: Due) -> str:
    words = Message("user", (Text(WORDS),))
    request = ChatRequest(
        model=due.model, messages=(words,), stream=True, max_tokens=MAX_TOKENS, input_bytes=len(WORDS)
    )
    stream = await chat.open_stream(caller=due.caller, request=request, endpoint_id=due.endpoint_id)
    outcome = "ok"
    async for event in stream.events():
        if isinstance(event, Broken):
            outcome = "failed"
    return outcome


def _name(endpoint_id: int) -> str:
    return f"{TURN}:{endpoint_id}"


def _pace() -> dt.timedelta:
    return MINUTE / settings.IDLE_PROBES_PER_MINUTE


def _most_idle() -> dt.timedelta:
    return settings.IDLE_PROBE_MINUTES * MINUTE
