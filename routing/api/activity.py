"""GET activity: what the account did, by day, model and endpoint."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from ninja import Field, Query, Router, Schema

from marketplace.api.amounts import Dollars
from marketplace.api.management import KeyedRequest
from routing.services import activity

router = Router()


class ActivityWanted(Schema):
    """Which requests are wanted."""

    date: dt.date | None = None
    api_key_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    user_id: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = None


class ActivityRow(Schema):
    """One day's requests to one model at one endpoint."""

    date: dt.date
    model: str
    model_permaslug: str
    endpoint_id: str
    provider_name: str
    usage: Dollars
    byok_usage_inference: Dollars
    requests: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


class Activity(Schema):
    """The rows, the newest day first."""

    data: list[ActivityRow]


@router.get("/activity", response=Activity, summary="Activity by day, model and endpoint")
def get_activity(request: KeyedRequest, wanted: Query[ActivityWanted]) -> dict[str, Any]:
    """The last 30 completed UTC days; hosted models have no endpoint and count no tokens."""
    narrowed = activity.Narrowed(
        date=wanted.date,
        key_digest=wanted.api_key_hash,
        creator_id=int(wanted.user_id) if wanted.user_id else None,
    )
    return {"data": [_written(row) for row in activity.rows(account_id=request.auth.account_id, narrowed=narrowed)]}


def _written(row: activity.Row) -> dict[str, Any]:
    return {
        "date": row.date,
        "model": row.model,
        "model_permaslug": row.model,
        "endpoint_id": str(row.endpoint_id or ""),
        "provider_name": row.provider_name,
        "usage": row.usage_nano,
        "byok_usage_inference": row.upstream_nano,
        "requests": row.requests,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "reasoning_tokens": row.reasoning_tokens,
    }
