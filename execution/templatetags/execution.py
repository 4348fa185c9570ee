"""What the hosting pages need in words and forms."""

from __future__ import annotations

import json
from typing import Any

from django import template

from execution import schema
from execution.forms import RunForm
from marketplace.models import Version

register = template.Library()

_BADGES = {
    "starting": "info",
    "queued": "info",
    "processing": "live",
    "building": "live",
    "succeeded": "ok",
    "failed": "danger",
    "canceled": "warn",
    "ready": "live",
    "ended": "",
}


@register.simple_tag
def run_form(version: Version) -> RunForm | None:
    """The empty form of a version's inputs; None when its schema cannot be used."""
    try:
        return RunForm(document=version.openapi_schema)
    except schema.InvalidSchema:
        return None


@register.filter
def status_kind(status: str) -> str:
    """The badge for a status."""
    return _BADGES.get(status, "")


@register.filter
def seconds(milliseconds: int | None) -> str:
    """1234 -> "1.234 s"."""
    return "–" if milliseconds is None else f"{milliseconds / 1000:.3f} s"


@register.filter
def pretty(value: Any) -> str:
    """A JSON value over several lines; the page escapes it."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
