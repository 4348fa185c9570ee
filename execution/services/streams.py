"""The stream of a prediction, told from its row alone: any web process can serve it, from any position on.

An event's id says how much had been told with it, so that a reader who comes back with Last-Event-ID goes on there.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from django.utils import timezone

from execution import limits, schema
from execution.models import Prediction
from execution.services import files, links
from execution.states import Status
from marketplace.lib.errors import NotFound

_PURPOSE: Final = "streams"
_ID: Final = re.compile(r"\d{1,20}:(\d{1,9})\.(\d{1,9})\.(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Position:
    """What a reader has been told: of which attempt, how many pieces of output, how many characters of logs."""

    fence: int = 0
    outputs: int = 0
    logs: int = 0

    def id(self, *, now: dt.datetime) -> str:
        """The position as an event's id, in the form `<ms>:<sequence>`."""
        return f"{int(now.timestamp() * 1000)}:{self.fence}.{self.outputs}.{self.logs}"


@dataclass(frozen=True, slots=True)
class Told:
    """One event and the position after it."""

    name: str
    data: str
    position: Position


def position_of(event_id: str) -> Position:
    """The position that an event's id says; the beginning for anything else."""
    found = _ID.fullmatch(event_id.strip())
    return Position(*map(int, found.groups())) if found else Position()


def link(prediction: Prediction, *, base: str, now: dt.datetime | None = None) -> str:
    """Where the prediction's stream is read, without a header (browsers' clients send none)."""
    until = (now or timezone.now()) + limits.LINK_LIFE
    query = links.sign(purpose=_PURPOSE, owner=prediction.account_id, object_id=prediction.pk, until=until)
    # The official JavaScript client makes files of the events of a stream whose path begins like this.
    of_files = schema.output_kind(prediction.version.openapi_schema) in ("file", "files")
    return f"{base}/v1/{'files' if of_files else 'predictions'}/{quote(prediction.pk)}/stream?{query}"


def open_link(*, prediction_id: str, asked: Any) -> int:
    """The account whose prediction the link opens. Raises Forbidden."""
    return links.check(purpose=_PURPOSE, object_id=prediction_id, asked=asked)


def news(*, account_id: int, prediction_id: str, position: Position, base: str) -> tuple[list[Told], int, bool]:
    """What has happened since `position`, the revision up to which that is, and whether the stream ends with it.

    Raises NotFound.
    """
    row = (
        Prediction.objects.for_account(account_id)
        .only("account_id", "status", "fence", "output", "logs", "error", "revision", "data_removed")
        .filter(pk=prediction_id)
        .first()
    )
    if row is None:
        raise NotFound("There is no such prediction in this account.")
    return told(row, position, base=base), row.revision, _ends(row, position)


def _ends(row: Prediction, position: Position) -> bool:
    return row.is_over or _began_anew(row, position)


def _began_anew(row: Prediction, position: Position) -> bool:
    """Whether this reader holds output of an attempt whose worker was lost: it can be neither taken back nor mixed."""
    return position.outputs > 0 and position.fence != row.fence


def told(row: Prediction, position: Position, *, base: str) -> list[Told]:
    """The events that bring a reader from `position` to the row as it is."""
    if _began_anew(row, position):
        detail = "The run began anew after its worker was lost: get the prediction for its whole output."
        return [_error(detail, position), Told("done", json.dumps({"reason": "error"}), position)]
    if position.fence != row.fence:
        position = Position(fence=row.fence)
    events: list[Told] = []
    if len(row.logs) > position.logs:
        fresh, position = row.logs[position.logs :], replace(position, logs=len(row.logs))
        events.append(Told("logs", fresh, position))
    pieces = row.output if isinstance(row.output, list) else [row.output] if row.is_over and row.output else []
    linked = files.with_links(pieces[position.outputs :], account_id=row.account_id, base=base)
    for piece in linked:
        position = replace(position, outputs=position.outputs + 1)
        events.append(Told("output", piece if isinstance(piece, str) else json.dumps(piece), position))
    if row.is_over:
        events += _end(row, position)
    return events


def _end(row: Prediction, position: Position) -> list[Told]:
    if row.status == Status.SUCCEEDED:
        return [Told("done", "{}", position)]
    if row.status == Status.CANCELED:
        return [Told("done", json.dumps({"reason": "canceled"}), position)]
    return [
        _error(row.error or "The run failed.", position),
        Told("done", json.dumps({"reason": "error"}), position),
    ]


def _error(detail: str, position: Position) -> Told:
    return Told("error", json.dumps({"detail": detail}), position)
