"""What a POST that makes a run says besides what to run: its deadline, its webhook, its Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from execution.api.edge import read_json
from execution.models import IdempotencyKey, Prediction
from execution.services import idempotency, predictions, webhooks
from marketplace.lib.errors import AppError
from marketplace.services.keys import Caller


@dataclass(frozen=True, slots=True)
class Order:
    """One request; `once` is what its Idempotency-Key is to be completed with, `cancel_after` are seconds."""

    body: dict[str, Any]
    cancel_after: int | None
    webhook: str
    webhook_events: Collection[str]
    once: IdempotencyKey | None


def placed(
    request: HttpRequest, caller: Caller, *, route: str, make: Callable[[Order], Prediction]
) -> Prediction | str:
    """What `make` makes of the request, or the id of what it made earlier under the same Idempotency-Key.

    `route` tells uses of one name apart. A request that is refused leaves its name free.
    Raises InvalidRequest, Conflict, Unprocessable and whatever AppError `make` raises.
    """
    body = read_json(request)
    cancel_after = predictions.parse_cancel_after(request.headers.get("Cancel-After", ""))
    webhook, events = webhooks.read(url=body.get("webhook"), events=body.get("webhook_events_filter"))
    once: IdempotencyKey | None = None
    if name := request.headers.get("Idempotency-Key", "").strip():
        begun = idempotency.begin(
            account_id=caller.account_id,
            key_id=caller.key_id,
            route=f"POST {route}"[:100],
            name=name,
            body=[body, cancel_after],
        )
        if isinstance(begun, str):
            return begun
        once = begun
    try:
        return make(Order(body, cancel_after, webhook, events, once))
    except AppError:
        if once is not None:
            idempotency.forget(row=once)
        raise
