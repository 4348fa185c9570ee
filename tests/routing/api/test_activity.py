"""GET /api/v1/activity: sums by day, model and endpoint."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.utils import timezone

from billing.rating import rate
from billing.services import holds, rollups
from marketplace.lib import ids
from marketplace.models import Account, ApiKey, Endpoint
from marketplace.services import keys
from tests.factories.billing import fund
from tests.factories.marketplace import account
from tests.factories.routing import endpoint

pytestmark = pytest.mark.django_db
TODAY = dt.datetime(2026, 7, 15, 12, tzinfo=dt.UTC)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> tuple[ApiKey, Client]:
    row, key = keys.issue(account=account(), name="manager", scopes=["management"])
    fund(row.account, "1.00")
    monkeypatch.setattr(timezone, "now", lambda: TODAY)
    return row, Client(headers={"authorization": f"Bearer {key}"})


def charge(
    owner: Account,
    *,
    days_ago: int,
    key: ApiKey | None = None,
    model: str = "acme/small",
    served: Endpoint | None = None,
    tokens: tuple[int, int, int] = (10, 0, 0),
) -> None:
    """A generation's charge of $0.000001 of some day."""
    with mock.patch.object(timezone, "now", return_value=TODAY - dt.timedelta(days=days_ago)):
        hold = holds.place(
            account_id=owner.pk,
            key_id=key.pk if key else None,
            amount_nano=1_000,
            kind="chat",
            reference=str(ids.uuid7()),
            expires_in=dt.timedelta(minutes=5),
        )
        prompt, completion, reasoning = tokens
        labels: dict[str, Any] = {
            "model": model,
            "tokens": {"prompt": prompt, "completion": completion, "reasoning": reasoning},
        }
        labels |= {"endpoint": served.pk, "provider": served.provider.slug} if served else {}
        holds.settle(hold_id=hold.pk, rated=rate({"prompt": 10**8}, {"prompt": 10}), labels=labels)


def asked(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/activity{query}")
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def test_it_sums_by_day_model_and_endpoint(manager: tuple[ApiKey, Client]) -> None:
    row, client = manager
    served = endpoint("http://127.0.0.1:9/v1")
    charge(row.account, days_ago=1, served=served, tokens=(10, 5, 2))
    charge(row.account, days_ago=1, served=served, tokens=(10, 7, 0))
    charge(row.account, days_ago=2, served=served)
    charge(row.account, days_ago=2, served=served, model="acme/large")
    rollups.close(TODAY - dt.timedelta(days=1, hours=6))
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
    stranger = account(email="charlie@example.com")
    fund(stranger, "1.00")
    charge(stranger, days_ago=1)
    for days_ago in (0, 31, 30):
        charge(row.account, days_ago=days_ago)
    assert [one["date"] for one in asked(client)] == ["2026-06-15"]


def test_it_narrows_by_day_key_and_creator(manager: tuple[ApiKey, Client]) -> None:
    row, client = manager
    other, _ = keys.issue(account=row.account, name="other", created_by=row.account.members.get().user)
    charge(row.account, days_ago=1, key=row)
    charge(row.account, days_ago=2, key=other)
    assert [one["date"] for one in asked(client, "?date=2026-07-13")] == ["2026-07-13"]
    assert [one["date"] for one in asked(client, f"?api_key_hash={row.digest}")] == ["2026-07-14"]
    assert [one["date"] for one in asked(client, f"?user_id={other.created_by_id}")] == ["2026-07-13"]


@pytest.mark.parametrize("query", ["?date=2026-07-15", "?date=2026-06-01", "?date=soon", "?api_key_hash=x"])
def test_what_cannot_be_asked_is_a_400(manager: tuple[ApiKey, Client], query: str) -> None:
    answer = manager[1].get(f"/api/v1/activity{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("'")
