"""What the hosting pages need in words and forms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.template import Context

from execution import schema, training
from execution.forms import RunForm
from execution.models import Prediction
from execution.services import examples as shown_examples
from execution.views.displays import base_of, input_with_links, shown
from marketplace.models import Model, Version

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


@register.simple_tag(takes_context=True)
def run_form(context: Context, version: Version, examples: Sequence[Mapping[str, Any]] = ()) -> RunForm | None:
    """The form of a version's inputs, as its default example has them; None when its schema cannot be used."""
    base = base_of(context["request"])
    first = next((one["prediction"] for one in examples if one["is_default"]), None)
    try:
        start = input_with_links(first, base=base) if first else None
        return RunForm(document=version.openapi_schema, start=start)
    except schema.InvalidSchema:
        return None


@register.simple_tag(takes_context=True)
def examples_of(context: Context, model: Model) -> list[dict[str, Any]]:
    """What the model's publisher shows, as the prediction pages would: the default example first."""
    base = base_of(context["request"])
    rows = sorted(shown_examples.listed(model=model), key=lambda row: row.example != Prediction.Example.DEFAULT)
    return [
        {"prediction": row, "is_default": row.example == Prediction.Example.DEFAULT, **shown(row, base=base)}
        for row in rows
    ]


@register.filter
def is_trainable(version: Version) -> bool:
    """Whether the version has a train function."""
    return training.is_offered(version.openapi_schema)


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
