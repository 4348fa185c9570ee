"""Idempotency-Key on what the gateway answers: one effect under one name, and no second answer (decision 0032)."""

from __future__ import annotations

from uuid import UUID

from execution.models import IdempotencyKey
from execution.services import idempotency
from marketplace.lib import ids
from marketplace.lib.errors import Conflict
from marketplace.services.keys import Caller
from routing.models import Generation

_Status = Generation.Status
# The caller's own client must not ask on its own accord: the answer would be the same.
_FINAL = {"x-should-retry": "false"}


def begun(caller: Caller) -> IdempotencyKey | None:
    """The row to complete with the generation's id in the transaction that holds money for it; None without a name.

    A name whose request came to nothing, and cost nothing, is free again. Raises Conflict for one whose request runs or
    was answered, Unprocessable for another body, InvalidRequest for a name that is too long.
    """
    if caller.once is None:
        return None
    for _ in range(3):
        found = idempotency.begin(
            account_id=caller.account_id, key_id=caller.key_id, route=caller.once.route, name=caller.once.name,
            body=caller.once.body,
        )  # fmt: skip
        if isinstance(found, IdempotencyKey):
            return found
        _require_nothing_came(found, account_id=caller.account_id)
        idempotency.free(account_id=caller.account_id, result=found)
    raise Conflict("Others ask with this Idempotency-Key at the same moment: try again.", headers={"Retry-After": "1"})


def _require_nothing_came(generation_id: str, *, account_id: int) -> None:
    """Raise Conflict unless the generation failed or was given up before anything of it was delivered."""
    row = Generation.objects.for_account(account_id).filter(pk=generation_id).first()
    if row is not None and row.status in Generation.OPEN:
        raise Conflict(
            f"A request with this Idempotency-Key is in progress ({row.public_id}): try again shortly.",
            metadata={"generation_id": row.public_id}, headers={"Retry-After": "1"},
        )  # fmt: skip
    if row is not None and row.status != _Status.FINISHED and not (row.cost_nano or row.delivered_bytes):
        return
    public_id = ids.generation_id(UUID(generation_id))
    raise Conflict(
        f"A request with this Idempotency-Key has been answered already, as {public_id}, and is charged once. Answers "
        f"are not kept here, so it cannot be given again; GET /api/v1/generation?id={public_id} tells what came of it. "
        "Choose a new key for a new answer.",
        metadata={"generation_id": public_id}, headers=_FINAL,
    )  # fmt: skip
