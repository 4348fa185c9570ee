"""Which events do anything: real ones of Stripe's, and all of them in the operator's document."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
import stripe
from stripe.events import _event_classes

from billing.models import InboxEvent
from billing.services import inbox

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def rows() -> list[str]:
    """The table of docs/operations.md: what is done with one line, its events behind it."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, kind in inbox.KINDS.items():
        found.setdefault((kind.way, kind.says), []).append(f"`{name}`")
    return [f"| {way} | {', '.join(names)} | {says} |" for (way, says), names in found.items()]


def test_the_operators_list_is_the_registry() -> None:
    ways = tuple(f"| {way} |" for way in typing.get_args(inbox.Way))
    assert [line for line in DOCUMENT.read_text().splitlines() if line.startswith(ways)] == rows()


def test_every_kind_is_one_of_stripes() -> None:
    snapshots = set(typing.get_args(typing.get_type_hints(stripe.Event)["type"]))
    thin = set(_event_classes._V2_EVENT_CLASS_LOOKUP)
    for name, kind in inbox.KINDS.items():
        assert name in (thin if kind.way == "thin" else snapshots), name


@pytest.mark.django_db
def test_what_is_no_kind_of_ours_is_kept_and_asks_nobody() -> None:
    told = {"id": "evt_1", "type": "customer.created", "data": {"object": {"id": "cus_1"}}}
    assert inbox.receive(told)
    assert InboxEvent.objects.get().is_done
