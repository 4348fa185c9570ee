"""Telling a prediction's owner by POST: while it runs as it goes, of its end until it is heard.

The end's webhook is an outbox: its row becomes due in the transaction that ends the prediction, and each try is
claimed by a conditional UPDATE. What is sent while a run goes on is sent once, and never waited for.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from execution import limits
from execution.models import Prediction, SigningSecret, Webhook
from execution.services import renderings
from marketplace.lib import crypto, ids, jobs, webhooks
from marketplace.lib.errors import Unprocessable
from marketplace.services import outbound

logger = structlog.get_logger(__name__)

TASK: Final = "execution.deliver_webhook"
EVENTS: Final = ("start", "output", "logs", "completed")
RING_AT_ONCE: Final = 50
_MAX_URL: Final = 2000


# --- What the caller asks for ---


def read(*, url: Any, events: Any) -> tuple[str, list[str]]:
    """The address and the events of a request; "" when no webhook is asked for. Raises Unprocessable."""
    if url in (None, ""):
        return "", []
    if not isinstance(url, str) or len(url) > _MAX_URL or not _is_address(url):
        raise Unprocessable(f"`webhook` is an http or https URL of at most {_MAX_URL} characters.")
    if refused := outbound.refusal(url):
        raise Unprocessable(f"`webhook` would never be called: {refused}.")
    if events in (None, []):
        return url, list(EVENTS)
    if not isinstance(events, list) or not all(one in EVENTS for one in events):
        raise Unprocessable(f"`webhook_events_filter` is a list of {', '.join(EVENTS)}.")
    return url, [one for one in EVENTS if one in events]


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def of(prediction: Prediction) -> Webhook | None:
    """Its webhook, made with it or never: no query where the row was read with it."""
    found: Webhook | None = getattr(prediction, "webhook", None)
    return found


def secret_of(*, account_id: int) -> str:
    """What the account's webhooks are signed with; made when it is first asked for."""
    row = SigningSecret.objects.filter(pk=account_id).first()
    if row is None:
        sealed = crypto.encrypt({"key": webhooks.new_secret()}, context=_context(account_id))
        try:
            with transaction.atomic():
                row = SigningSecret.objects.create(account_id=account_id, sealed=sealed)
        except IntegrityError:  # another made it at the same moment
            row = SigningSecret.objects.get(pk=account_id)
    return str(crypto.decrypt(row.sealed, context=_context(account_id))["key"])


def _context(account_id: int) -> str:
    return f"webhooks:{account_id}"


# --- While the prediction runs ---


class Live:
    """Tells of a run while it goes on, beside it: at most one POST in half a second, each with the newest state.

    A receiver that is slow misses some; the run never waits for it.
    """

    def __init__(self, prediction: Prediction) -> None:
        self._webhook = of(prediction)
        self._news: set[str] = set()
        self._changed = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._webhook is not None and set(self._webhook.events) - {"completed"}:
            self._thread = threading.Thread(target=self._run, name=f"webhook-{self._webhook.pk}", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._changed.set()

    def tell(self, *events: str) -> None:
        """Something of these kinds has happened, and is written."""
        if self._webhook is not None and (wanted := set(events) & set(self._webhook.events)):
            self._news |= wanted
            self._changed.set()

    def _run(self) -> None:
        webhook = self._webhook
        assert webhook is not None  # noqa: S101  the thread is only started with one
        try:
            while True:
                self._changed.wait()
                self._changed.clear()
                if self._over.is_set():
                    return
                if self._news:
                    self._news = set()
                    self._send(webhook)
                self._over.wait(limits.WEBHOOK_THROTTLE_SECONDS)
        except Exception:
            logger.exception("live_webhook_failed", prediction=webhook.pk)
        finally:
            connection.close()

    def _send(self, webhook: Webhook) -> None:
        content = _body(webhook)
        if self._over.is_set():
            return  # its end is told by the outbox
        message_id = f"msg_{ids.random_token(24)}"
        outcome, _ = _post(webhook, content, message_id=message_id, seconds=limits.WEBHOOK_LIVE_SECONDS)
        if outcome:
            logger.info("live_webhook_missed", prediction=webhook.pk, outcome=outcome)


# --- Its end ---


def ended(prediction: Prediction, *, now: dt.datetime) -> None:
    """The prediction has ended: its webhook, if it has one for that, is due. In the transaction of the end."""
    webhook = of(prediction)
    if webhook is None or "completed" not in webhook.events:
        return
    waiting = Webhook.objects.filter(pk=prediction.pk, state=Webhook.State.WAITING)
    if waiting.update(state=Webhook.State.DUE, due_at=now):
        jobs.enqueue(TASK, prediction_id=prediction.pk)


def deliver(*, prediction_id: str, now: dt.datetime | None = None) -> bool:
    """One try at a webhook that is due; whether it was heard."""
    now = now or timezone.now()
    claimed = Webhook.objects.filter(pk=prediction_id, state=Webhook.State.DUE, due_at__lte=now).update(
        due_at=now + limits.WEBHOOK_LEASE, tries=F("tries") + 1
    )
    if not claimed:
        return False
    webhook = Webhook.objects.get(pk=prediction_id)
    # The same id in every try: a receiver knows by it what it has seen.
    outcome, again = _post(webhook, _body(webhook), message_id=f"msg_{prediction_id}", seconds=limits.WEBHOOK_SECONDS)
    mine = Webhook.objects.filter(pk=prediction_id, state=Webhook.State.DUE, tries=webhook.tries)
    if not outcome:
        mine.update(state=Webhook.State.TOLD, due_at=None, outcome="")
    elif again and webhook.tries <= len(limits.WEBHOOK_DELAYS):
        delay = dt.timedelta(seconds=limits.WEBHOOK_DELAYS[webhook.tries - 1])
        mine.update(due_at=now + delay, outcome=outcome[:300])
    else:
        mine.update(state=Webhook.State.GIVEN_UP, due_at=None, outcome=outcome[:300])
    return not outcome


def ring(*, now: dt.datetime) -> int:
    """Ring for webhooks whose time has come: a retry, or a doorbell that was lost. Returns how many."""
    due: Iterable[str] = Webhook.objects.filter(state=Webhook.State.DUE, due_at__lte=now).values_list("pk", flat=True)
    count = 0
    for prediction_id in list(due)[:RING_AT_ONCE]:
        jobs.enqueue(TASK, prediction_id=prediction_id)
        count += 1
    return count


def _body(webhook: Webhook) -> bytes:
    row = Prediction.objects.select_related("model__publisher", "version", "destination__publisher").get(pk=webhook.pk)
    return json.dumps(renderings.prediction(row, base=webhook.base)).encode()


def _post(webhook: Webhook, content: bytes, *, message_id: str, seconds: float) -> tuple[str, bool]:
    """What went wrong, "" when nothing did; and whether another try may help."""
    return outbound.post(
        url=webhook.url,
        content=content,
        secret=secret_of(account_id=webhook.account_id),
        message_id=message_id,
        seconds=seconds,
    )
