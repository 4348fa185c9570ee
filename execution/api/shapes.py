"""What clients get to see, in Replicate's shapes (facts/replicate.md section 1). To be called on the pool."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from execution.models import Build, Deployment, File, Prediction
from execution.services import renderings
from execution.services.renderings import moment
from marketplace.models import Account, Collection, Hardware, Model, Version


def base_of(request: HttpRequest) -> str:
    """This site's address as the caller wrote it, or as the operator set it."""
    return settings.PUBLIC_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"


def version(row: Version) -> dict[str, Any]:
    """A version with its schema, and the repository's commit or the image's digest that it was first made of."""
    return {
        "id": row.pk,
        "created_at": moment(row.created_at),
        "cog_version": row.cog_version,
        "openapi_schema": row.openapi_schema,
        **({"source": {"url": row.source_url, "revision": row.source_revision}} if row.source_url else {}),
    }


def model(
    row: Model, *, base: str, latest: Version | None, run_count: int, example: Prediction | None = None
) -> dict[str, Any]:
    """A hosted model; `example` is its default one."""
    return {
        "url": f"{base}/{row.full_slug}",
        "owner": row.publisher.slug,
        "name": row.slug,
        "description": row.description,
        "visibility": row.visibility,
        "github_url": row.source_url or None,
        "paper_url": row.paper_url or None,
        "weights_url": row.weights_url or None,
        "license_url": row.license_url or None,
        "run_count": run_count,
        "cover_image_url": row.cover_url or None,
        "default_example": renderings.example(example, base=base) if example else None,
        "latest_version": version(latest) if latest else None,
        "is_official": row.is_official,
    }


def build(row: Build) -> dict[str, Any]:
    """A build without its log."""
    return {
        "id": row.pk,
        "model": row.model.full_slug,
        "status": row.status,
        "source": source(row),
        "version": row.version_id,
        "error": row.error or None,
        "created_at": moment(row.created_at),
        "started_at": moment(row.started_at),
        "completed_at": moment(row.completed_at),
    }


def source(row: Build) -> dict[str, Any]:
    """Where a build's sources come from; `commit`, `sha256` and `digest` once they are known."""
    if row.source == Build.Source.GIT:
        found = {"url": row.source_url, "ref": row.source_ref, "commit": row.source_revision or None}
    elif row.source == Build.Source.IMAGE:
        return {"kind": row.source, "reference": row.source_url, "digest": row.source_revision or None}
    else:
        found = {"name": row.source_name}
    return {"kind": row.source, **found, "sha256": row.source_sha256 or None}


def collection(row: Collection) -> dict[str, Any]:
    """A collection without its models."""
    return {"name": row.name, "slug": row.slug, "description": row.description}


def hardware(row: Hardware) -> dict[str, str]:
    """A class of machine."""
    return {"name": row.name, "sku": row.sku}


def account(row: Account, *, base: str) -> dict[str, str]:
    """The caller's account."""
    kind = "user" if row.kind == Account.Kind.PERSONAL else "organization"
    return {"type": kind, "username": row.slug, "name": row.name, "avatar_url": f"{base}/static/icons/mark.svg"}


def deployment(row: Deployment, *, base: str) -> dict[str, Any]:
    """A deployment with the release that is in force."""
    release = row.release
    return {
        "owner": row.account.slug,
        "name": row.name,
        "current_release": {
            "number": release.number,
            "model": release.version.model.full_slug,
            "version": release.version_id,
            "created_at": moment(release.created_at),
            "created_by": account(row.account, base=base),
            "configuration": {
                "hardware": release.hardware.sku,
                "min_instances": release.min_instances,
                "max_instances": release.max_instances,
            },
        },
    }


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
