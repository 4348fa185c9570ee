"""What clients get to see, in Replicate's shapes (facts/replicate.md section 1). To be called on the pool."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from execution.models import File, Prediction
from execution.services import files
from execution.states import Status
from marketplace.models import Account, Hardware, Model, Version


def base_of(request: HttpRequest) -> str:
    """This site's address as the caller wrote it, or as the operator set it."""
    return settings.PUBLIC_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"


def moment(value: dt.datetime | None) -> str | None:
    """A time as clients parse it: UTC with a Z."""
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") if value else None


def prediction(row: Prediction, *, base: str, as_starting: bool = False) -> dict[str, Any]:
    """A prediction. `as_starting`: a wait ran out, and clients take anything but "starting" for finished."""
    body: dict[str, Any] = {
        "id": row.pk,
        "model": row.model.full_slug,
        "version": row.version_id,
        "input": files.with_links(row.input, account_id=row.account_id, base=base),
        "output": None if as_starting else files.with_links(row.output, account_id=row.account_id, base=base),
        "logs": row.logs,
        "error": row.error,
        "status": Status.STARTING.value if as_starting else row.status,
        "source": row.source,
        "data_removed": row.data_removed,
        "created_at": moment(row.created_at),
        "metrics": row.metrics,
        "urls": {
            "get": f"{base}/v1/predictions/{row.pk}",
            "cancel": f"{base}/v1/predictions/{row.pk}/cancel",
            "web": f"{base}/predictions/{row.pk}",
        },
    }
    # Left out rather than null until they are known: the published schema does not allow null for them.
    for name in ("started_at", "completed_at", "deadline"):
        if (value := getattr(row, name)) is not None:
            body[name] = moment(value)
    return body


def listed_prediction(row: Prediction, *, base: str) -> dict[str, Any]:
    """A prediction in a list: without its logs, as they may be long."""
    row.logs = ""  # deferred; never asked for
    return prediction(row, base=base)


def version(row: Version) -> dict[str, Any]:
    """A version with its schema."""
    return {
        "id": row.pk,
        "created_at": moment(row.created_at),
        "cog_version": row.cog_version,
        "openapi_schema": row.openapi_schema,
    }


def model(row: Model, *, base: str, latest: Version | None, run_count: int) -> dict[str, Any]:
    """A hosted model."""
    return {
        "url": f"{base}/{row.full_slug}",
        "owner": row.publisher.slug,
        "name": row.slug,
        "description": row.description or None,
        "visibility": row.visibility,
        "github_url": row.source_url or None,
        "paper_url": None,
        "license_url": row.license_url or None,
        "run_count": run_count,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version(latest) if latest else None,
        "is_official": False,
    }


def hardware(row: Hardware) -> dict[str, str]:
    """A class of machine."""
    return {"name": row.name, "sku": row.sku}


def account(row: Account, *, base: str) -> dict[str, str]:
    """The caller's account."""
    kind = "user" if row.kind == Account.Kind.PERSONAL else "organization"
    return {"type": kind, "username": row.slug, "name": row.name, "avatar_url": f"{base}/static/icons/mark.svg"}


def file(row: File, *, base: str) -> dict[str, Any]:
    """A file; `name` and `etag` are what the official 1.x client insists on."""
    return {
        "id": row.pk,
        "name": row.name,
        "content_type": row.content_type,
        "size": row.size,
        "etag": row.sha256,
        "checksums": {"sha256": row.sha256},
        "metadata": row.metadata,
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "urls": {"get": f"{base}/v1/files/{row.pk}"},
    }
