"""Presets through the API: list them, read their versions, keep a request's body as a new one."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Body, Field, Query, Router, Schema

from marketplace.api.management import AnyKey, KeyedRequest
from marketplace.api.paging import Page
from routing.api import bodies
from routing.models import Preset, PresetVersion
from routing.services import presets

# As in the reference, keys that call models may keep and read presets; management keys too.
router = Router(auth=AnyKey())

Given = Annotated[dict[str, Any], Body()]


class VersionShape(Schema):
    """A version of a preset; `config` is the body that was kept, in its own dialect."""

    id: UUID
    preset_id: UUID
    version: int
    dialect: str
    config: dict[str, Any]
    system_prompt: str | None
    creator_id: str
    created_at: dt.datetime
    updated_at: dt.datetime


class PresetShape(Schema):
    """A preset without its versions."""

    id: UUID
    slug: str
    name: str
    description: str | None
    status: str
    designated_version_id: UUID
    creator_user_id: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    status_updated_at: dt.datetime | None
    workspace_id: str


class WholePreset(PresetShape):
    """A preset with the version that counts."""

    designated_version: VersionShape


class OnePreset(Schema):
    """One preset."""

    data: WholePreset


class ManyPresets(Schema):
    """A page of presets."""

    data: list[PresetShape]
    total_count: int


class OneVersion(Schema):
    """One version."""

    data: VersionShape


class ManyVersions(Schema):
    """A page of versions."""

    data: list[VersionShape]
    total_count: int


class PresetChange(Schema):
    """What is to change; what is left out stays."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[str, Field(max_length=1000)] | None = None
    status: Literal["active", "disabled", "archived"] | None = None


@router.get("/presets", response=ManyPresets, summary="List presets")
def list_presets(request: KeyedRequest, page: Query[Page]) -> dict[str, Any]:
    """The account's presets, by slug."""
    rows = presets.listed(account_id=request.auth.account_id)
    return {"data": [_preset(row) for row in rows[page.offset : page.offset + page.limit]], "total_count": len(rows)}


@router.get("/presets/{slug}", response=OnePreset, summary="One preset")
def get_preset(request: KeyedRequest, slug: str) -> dict[str, Any]:
    """A preset with the version that counts."""
    return {"data": _whole(_find(request, slug))}


@router.patch("/presets/{slug}", response=OnePreset, summary="Change a preset's name or status")
def update_preset(request: KeyedRequest, slug: str, given: PresetChange) -> dict[str, Any]:
    """Rename it, or take it out of use and back; what it says is changed by keeping a new version."""
    changed = presets.change(
        preset=_find(request, slug), name=given.name, description=given.description, status=given.status
    )
    return {"data": _whole(changed)}


@router.get("/presets/{slug}/versions", response=ManyVersions, summary="List a preset's versions")
def list_preset_versions(request: KeyedRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """The versions, the newest first."""
    rows = _find(request, slug).versions.all()
    return {
        "data": [_version(row) for row in rows[page.offset : page.offset + page.limit]],
        "total_count": rows.count(),
    }


@router.get("/presets/{slug}/versions/{version}", response=OneVersion, summary="One version of a preset")
def get_preset_version(request: KeyedRequest, slug: str, version: str) -> dict[str, Any]:
    """A version by its number."""
    return {"data": _version(presets.version(preset=_find(request, slug), number=version))}


@router.post(
    "/presets/{slug}/chat/completions",
    response=OnePreset,
    summary="Keep a chat's body as a preset",
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": bodies.CHAT.body}}}},
)
def keep_chat_preset(request: KeyedRequest, slug: str, given: Given) -> dict[str, Any]:
    """Keep a body of chat/completions; nothing is asked. System messages become the system prompt."""
    return _kept(request, slug, "chat", given)


@router.post(
    "/presets/{slug}/messages",
    response=OnePreset,
    summary="Keep a message's body as a preset",
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": bodies.MESSAGES.body}}}},
)
def keep_messages_preset(request: KeyedRequest, slug: str, given: Given) -> dict[str, Any]:
    """Keep a body of messages; nothing is asked."""
    return _kept(request, slug, "messages", given)


@router.post("/presets/{slug}/responses", response=OnePreset, summary="Keep a response's body as a preset")
def keep_responses_preset(request: KeyedRequest, slug: str, given: Given) -> dict[str, Any]:
    """Keep a body of responses; nothing is asked. Instructions become the system prompt."""
    return _kept(request, slug, "responses", given)


def _find(request: KeyedRequest, slug: str) -> Preset:
    return presets.find(account_id=request.auth.account_id, slug=slug)


def _kept(request: KeyedRequest, slug: str, dialect: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"data": _whole(presets.keep(account_id=request.auth.account_id, slug=slug, dialect=dialect, body=body))}


def _whole(row: Preset) -> dict[str, Any]:
    return {**_preset(row), "designated_version": _version(presets.newest(row))}


def _preset(row: Preset) -> dict[str, Any]:
    return {
        "id": row.pk,
        "slug": row.slug,
        "name": row.name,
        "description": row.description or None,
        "status": row.status,
        "designated_version_id": presets.newest(row).pk,
        "creator_user_id": str(row.created_by_id) if row.created_by_id else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "status_updated_at": row.status_updated_at,
        "workspace_id": str(row.account_id),
    }


def _version(row: PresetVersion) -> dict[str, Any]:
    return {
        "id": row.pk,
        "preset_id": row.preset_id,
        "version": row.version,
        "dialect": row.dialect,
        "config": row.config,
        "system_prompt": row.system_prompt or None,
        "creator_id": str(row.created_by_id or ""),
        "created_at": row.created_at,
        "updated_at": row.created_at,
    }
