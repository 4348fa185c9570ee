"""A prediction or a training as its owner reads it, by the API and in webhooks (facts/replicate.md section 1)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from execution import schema
from execution.models import Prediction
from execution.services import files, streams
from execution.states import Status


def moment(value: dt.datetime | None) -> str | None:
    """A time as clients parse it: UTC with a Z."""
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") if value else None


def prediction(row: Prediction, *, base: str, as_starting: bool = False) -> dict[str, Any]:
    """A prediction. `as_starting`: a wait ran out, and clients take anything but "starting" for finished."""
    body = summary(row, base=base)
    if as_starting:
        body |= {"output": None, "status": Status.STARTING.value}
    body["logs"] = row.logs
    if not row.is_training and schema.is_iterator(row.version.openapi_schema):
        body["urls"]["stream"] = streams.link(row, base=base)
    return body


def example(row: Prediction, *, base: str) -> dict[str, Any]:
    """A prediction that its owner shows to others: what went in and came out, not how its owner keeps the model."""
    body = summary(row, base=base) | {"logs": row.logs}
    body.pop("deployment", None)
    return body


def summary(row: Prediction, *, base: str) -> dict[str, Any]:
    """A prediction in a list: without logs, which may be long, and its stream."""
    body: dict[str, Any] = {
        "id": row.pk,
        "model": row.model.full_slug,
        "version": row.version_id,
        "input": files.with_links(row.input, account_id=row.account_id, base=base),
        "output": files.with_links(row.output, account_id=row.account_id, base=base),
        "logs": "",
        "error": row.error,
        "status": row.status,
        "source": row.source,
        "data_removed": row.data_removed,
        "created_at": moment(row.created_at),
        "metrics": row.metrics,
        "urls": {
            "get": f"{base}/v1/{row.kind}s/{row.pk}",
            "cancel": f"{base}/v1/{row.kind}s/{row.pk}/cancel",
            "web": f"{base}/{row.kind}s/{row.pk}",
        },
    }
    if row.destination is not None:
        body["destination"] = row.destination.full_slug
        if row.output is None:
            del body["output"]  # the published schema of trainings allows no null for it
    # Left out rather than null until they are known: the published schema does not allow null for them.
    for name in ("started_at", "completed_at", "deadline"):
        if (value := getattr(row, name)) is not None:
            body[name] = moment(value)
    if row.deployment is not None:
        body["deployment"] = row.deployment.name
    return body
