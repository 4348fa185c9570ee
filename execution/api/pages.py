"""Pages of a list: opaque cursors that survive rows coming and going."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from execution.api.shapes import base_of
from marketplace.lib.errors import InvalidRequest

Edge = tuple[dt.datetime, str]

OLDER: Final = "p"
NEWER: Final = "n"


@dataclass(frozen=True, slots=True)
class Cursor:
    """From which row on, and in which direction."""

    direction: str
    edge: Edge

    def text(self) -> str:
        """The cursor as clients carry it."""
        plain = json.dumps([self.direction, self.edge[0].isoformat(), self.edge[1]])
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def read_cursor(request: HttpRequest) -> Cursor | None:
    """The request's cursor; None on the first page. Raises InvalidRequest."""
    text = request.GET.get("cursor", "")
    if not text:
        return None
    try:
        direction, at, row_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        when = dt.datetime.fromisoformat(at)
        if direction not in (OLDER, NEWER) or not isinstance(row_id, str) or when.tzinfo is None:
            raise ValueError(text)
    except (ValueError, TypeError, binascii.Error, UnicodeDecodeError):
        raise InvalidRequest("The cursor is not one of ours: take `next` or `previous` as they were given.") from None
    return Cursor(direction, (when, row_id))


def page(
    rows: QuerySet[Any],
    *,
    request: HttpRequest,
    size: int,
    show: Callable[[list[Any]], list[dict[str, Any]]],
    by: str = "created_at",
    ascending: bool = False,
) -> dict[str, Any]:
    """One page of rows by (`by`, pk), newest first unless ascending, with absolute links to the pages beside it."""
    cursor = read_cursor(request)
    back = cursor is not None and cursor.direction == NEWER
    upwards = back != ascending
    if cursor is not None:
        (at, row_id), side = cursor.edge, "gt" if upwards else "lt"
        rows = rows.filter(Q(**{f"{by}__{side}": at}) | Q(**{by: at, f"pk__{side}": row_id}))
    order = (by, "pk") if upwards else (f"-{by}", "-pk")
    found = list(rows.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    has_later = bool(found) and (back or more)
    has_earlier = bool(found) and cursor is not None and (more or not back)
    return {
        "next": _link(request, Cursor(OLDER, _edge(found[-1], by))) if has_later else None,
        "previous": _link(request, Cursor(NEWER, _edge(found[0], by))) if has_earlier else None,
        "results": show(found),
    }


def _edge(row: Any, by: str) -> Edge:
    return getattr(row, by), str(row.pk)


def _link(request: HttpRequest, cursor: Cursor) -> str:
    kept = {name: value for name, value in request.GET.items() if name != "cursor"}
    return f"{base_of(request)}{request.path}?{urlencode({**kept, 'cursor': cursor.text()})}"
