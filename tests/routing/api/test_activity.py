"""GET /api/v1/activity: sums by day, model and endpoint."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.lib import ids
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from routing.models import Generation
from tests.factories.marketplace import account
from tests.factories.routing import endpoint

pytestmark = pytest.mark.django_db
TODAY = dt.datetime(2026, 7, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> tuple[ApiKey, Client]:
    row, key = keys.issue(account=account(), name="manager", scopes=["management"])
    monkeypatch.setattr(timezone, "now", lambda: TODAY)
    return row, Client(headers={"authorization": f"Bearer {key}"})


def generation(owner: Account, *, days_ago: int, **fields: Any) -> None:
    given = {"model": "acme/small", "status": "finished", "cost_nano": 1_000, "prompt_tokens": 10} | fields
    Generation.objects.create(
        account=owner, hold_id=ids.uuid7(), requested_model="acme/small", streamed=False,
        created_at=TODAY - dt.timedelta(days=days_ago), **given,
    )  # fmt: skip


def asked(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/activity{query}")
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def test_it_sums_by_day_model_and_endpoint(manager: tuple[ApiKey, Client]) -> None:
    row, client = manager
    served = endpoint("http://127.0.0.1:9/v1")
    at = {"endpoint": served, "provider": served.provider}
    generation(row.account, days_ago=1, completion_tokens=5, reasoning_tokens=2, **at)
    generation(row.account, days_ago=1, completion_tokens=7, **at)
    generation(row.account, days_ago=2, **at)
    generation(row.account, days_ago=2, model="acme/large", **at)
    assert [(one["date"], one["model"], one["requests"]) for one in asked(client)] == [
        ("2026-07-14", "acme/small", 2),
        ("2026-07-13", "acme/large", 1),
        ("2026-07-13", "acme/small", 1),
    ]
    first = asked(client)[0]
    assert first["usage"] == pytest.approx(2_000e-9)
    assert (first["prompt_tokens"], first["completion_tokens"], first["reasoning_tokens"]) == (20, 12, 2)
    assert (first["endpoint_id"], first["provider_name"]) == (str(served.pk), "Sim-One")


def test_only_the_accounts_own_of_thirty_completed_days(manager: tuple[ApiKey, Client]) -> None:
    row, client = manager
    generation(account(email="charlie@example.com"), days_ago=1)
    generation(row.account, days_ago=0)
    generation(row.account, days_ago=31)
    generation(row.account, days_ago=30)
    generation(row.account, days_ago=1, model="")  # nobody answered
    assert [one["date"] for one in asked(client)] == ["2026-06-15"]


def test_it_narrows_by_day_key_and_creator(manager: tuple[ApiKey, Client]) -> None:
    row, client = manager
    other, _ = keys.issue(account=row.account, name="other", created_by=row.account.members.get().user)
    generation(row.account, days_ago=1, key=row)
    generation(row.account, days_ago=2, key=other)
    assert [one["date"] for one in asked(client, "?date=2026-07-13")] == ["2026-07-13"]
    assert [one["date"] for one in asked(client, f"?api_key_hash={row.digest}")] == ["2026-07-14"]
    assert [one["date"] for one in asked(client, f"?user_id={other.created_by_id}")] == ["2026-07-13"]


@pytest.mark.parametrize("query", ["?date=2026-07-15", "?date=2026-06-01", "?date=soon", "?api_key_hash=x"])
def test_what_cannot_be_asked_is_a_400(manager: tuple[ApiKey, Client], query: str) -> None:
    answer = manager[1].get(f"/api/v1/activity{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("'")
