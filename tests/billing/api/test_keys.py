"""/api/v1/keys: a program that manages the account's keys."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import Budget, Charge
from billing.services import budgets
from marketplace.lib.errors import Unauthorized
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.factories.marketplace import account, team, user

pytestmark = pytest.mark.django_db


class Manager:
    """A program with a management key."""

    def __init__(self, owner: Account, *, scopes: tuple[str, ...] = ("management",)) -> None:
        self.row, self.key = keys.issue(account=owner, name="manager", scopes=scopes)
        self.client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {self.key}"})

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        content = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        answer = self.client.generic(method, f"/api/v1{path}", content, content_type="application/json")
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status_code, answer.json()

    def make(self, **given: Any) -> dict[str, Any]:
        status, made = self.ask("POST", "/keys", {"name": "app", **given})
        assert status == 201
        found: dict[str, Any] = made
        return found


@pytest.fixture
def manager() -> Manager:
    return Manager(account())


def test_a_key_made_here_works_and_is_told_once(manager: Manager) -> None:
    made = manager.make(limit=0.500000001, limit_reset="weekly", expires_at="2100-01-01T00:00:00Z")
    assert keys.authenticate(made["key"]).scopes == {"inference"}
    status, got = manager.ask("GET", f"/keys/{made['data']['hash']}")
    assert status == 200
    assert got == {"data": made["data"]}
    assert (got["data"]["limit"], got["data"]["limit_remaining"]) == (0.500000001, 0.500000001)
    assert got["data"]["limit_reset"] == "weekly"
    assert got["data"]["expires_at"] == "2100-01-01T00:00:00+00:00"
    assert ApiKey.objects.get(digest=made["data"]["hash"]).limit_nano == 500_000_001
    assert made["key"] not in json.dumps(manager.ask("GET", "/keys")[1])


def test_management_keys_are_made_by_scope(manager: Manager) -> None:
    made = manager.make(scopes=["management"])
    assert keys.authenticate(made["key"]).scopes == {"management"}


def test_the_list_is_the_accounts_own_without_playground_keys(manager: Manager) -> None:
    keys.issue(account=account(email="charlie@example.com"), name="stranger's")
    keys.issue(account=account(), name="Playground", is_playground=True)
    manager.make(name="second")
    status, found = manager.ask("GET", "/keys")
    assert status == 200
    assert [row["name"] for row in found["data"]] == ["second", "manager"]
    assert found["total_count"] == 2
    assert [row["name"] for row in manager.ask("GET", "/keys?offset=1")[1]["data"]] == ["manager"]


def test_disabled_keys_can_be_left_out(manager: Manager) -> None:
    made = manager.make()
    manager.ask("PATCH", f"/keys/{made['data']['hash']}", {"disabled": True})
    assert len(manager.ask("GET", "/keys")[1]["data"]) == 2
    assert len(manager.ask("GET", "/keys?include_disabled=false")[1]["data"]) == 1


def test_a_change_touches_only_what_it_names(manager: Manager) -> None:
    made = manager.make(limit=5, limit_reset="daily")
    address = f"/keys/{made['data']['hash']}"
    assert manager.ask("PATCH", address, {"name": "renamed"})[1]["data"]["limit"] == 5
    assert manager.ask("PATCH", address, {"limit": 7})[1]["data"]["limit_reset"] == "daily"
    changed = manager.ask("PATCH", address, {"limit": None, "limit_reset": None, "disabled": True})[1]["data"]
    assert (changed["name"], changed["limit"], changed["limit_reset"]) == ("renamed", None, None)
    assert changed["updated_at"]
    with pytest.raises(Unauthorized):
        keys.authenticate(made["key"])
    manager.ask("PATCH", address, {"disabled": False})
    keys.authenticate(made["key"])


def test_a_deleted_key_is_gone_and_its_charges_stay(manager: Manager) -> None:
    made = manager.make()
    assert manager.ask("DELETE", f"/keys/{made['data']['hash']}") == (200, {"deleted": True})
    with pytest.raises(Unauthorized):
        keys.authenticate(made["key"])
    assert manager.ask("GET", f"/keys/{made['data']['hash']}")[0] == 404
    assert ApiKey.objects.filter(digest=made["data"]["hash"]).exists()


def test_usage_is_told_by_period(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    made = manager.make(limit=1, limit_reset="monthly")
    row = ApiKey.objects.get(digest=made["data"]["hash"])
    wednesday = dt.datetime(2026, 7, 15, 12, tzinfo=dt.UTC)
    monkeypatch.setattr(timezone, "now", lambda: wednesday)
    monkeypatch.setattr(budgets, "database_now", lambda: wednesday)
    for n, day in enumerate((dt.date(2026, 7, 15), dt.date(2026, 7, 13), dt.date(2026, 7, 1), dt.date(2026, 6, 30))):
        charge = Charge(
            account=row.account, key=row, kind="test", reference=str(n), amount_nano=10**n,
            quantities={}, prices={}, shares=[], created_at=day,
        )  # fmt: skip
        charge.created_at = dt.datetime.combine(day, dt.time(9), tzinfo=dt.UTC)
        Charge._meta.get_field("created_at").auto_now_add = False
        try:
            charge.save(force_insert=True)
        finally:
            Charge._meta.get_field("created_at").auto_now_add = True
    Budget.objects.create(key=row, period_start=dt.datetime(2026, 7, 1, tzinfo=dt.UTC), spent_nano=111, held_nano=9)
    told = manager.ask("GET", f"/keys/{row.digest}")[1]["data"]
    assert told["usage"] == pytest.approx(1111e-9)
    assert told["usage_daily"] == pytest.approx(1e-9)
    assert told["usage_weekly"] == pytest.approx(11e-9)
    assert told["usage_monthly"] == pytest.approx(111e-9)
    assert told["limit_remaining"] == pytest.approx(1 - 120e-9)


def test_the_creator_must_be_a_member() -> None:
    shop = team(slug="shop")
    manager = Manager(shop)
    owner, stranger = user("alice@example.com"), user("charlie@example.com")
    assert manager.make(creator_user_id=str(owner.pk))["data"]["creator_user_id"] == str(owner.pk)
    for wrong in (str(stranger.pk), "nobody", "", "9" * 30):
        status, said = manager.ask("POST", "/keys", {"name": "app", "creator_user_id": wrong})
        assert status == 400
        assert "member" in said["error"]["message"]


def test_members_are_listed(manager: Manager) -> None:
    status, found = manager.ask("GET", "/organization/members")
    assert status == 200
    assert [(row["email"], row["role"]) for row in found["data"]] == [("alice@example.com", "org:admin")]


def test_a_strangers_key_is_not_there(manager: Manager) -> None:
    theirs, plaintext = keys.issue(account=account(email="charlie@example.com"), name="theirs")
    for method, body in (("GET", None), ("PATCH", {"disabled": True}), ("DELETE", None)):
        assert manager.ask(method, f"/keys/{theirs.digest}", body)[0] == 404
    keys.authenticate(plaintext)


@pytest.mark.parametrize("path", ["/keys", "/activity", "/organization/members"])
def test_inference_keys_may_not_manage_and_no_key_is_401(path: str) -> None:
    worker = Manager(account(), scopes=("inference",))
    status, said = worker.ask("GET", path)
    assert status == 403
    assert said["error"]["metadata"] == {"error_type": "permission_denied", "required_scope": "management"}
    answer = Client().get(f"/api/v1{path}")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == 401


@pytest.mark.django_db(transaction=True)
def test_management_keys_see_credits_and_themselves_but_call_no_model(manager: Manager) -> None:
    assert manager.ask("GET", "/credits")[0] == 200
    assert manager.ask("GET", "/key")[1]["data"]["is_management_key"] is True
    assert manager.ask("POST", "/chat/completions", {"model": "a/b", "messages": []})[0] == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a", "limit": -1}, "limit"),
        ({"name": "a", "limit": 1e15}, "limit"),
        ({"name": "a", "limit": True}, "limit"),
        ({"name": "a", "limit": "much"}, "limit"),
        ({"name": "a", "limit": 0.0000000001}, "limit"),
        ({"name": "a", "limit_reset": "hourly"}, "limit_reset"),
        ({"name": "a", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "scopes": ["root"]}, "scopes.0"),
    ],
)
def test_wrong_values_are_named(manager: Manager, body: Any, field: str) -> None:
    status, said = manager.ask("POST", "/keys", body)
    assert status == 400
    assert said["error"]["metadata"]["error_type"] == "invalid_request"
    assert said["error"]["metadata"]["errors"][0]["field"] == field
    assert field in said["error"]["message"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"name": NaN}',
        '{"name": "a", "other": [1e300]}',
        '{"name": "\\ud800"}',
        '{"name": "a\\u0000b"}',
        '{"name": "a", "expires_at": "2000-01-01T00:00:00"}',
        '{"name": "a", "expires_at": "2000-01-01T00:00:00Z"}',
    ],
)
def test_what_no_column_can_take_is_a_400(manager: Manager, text: str) -> None:
    status, said = manager.ask("POST", "/keys", text)
    assert (status, said["error"]["code"]) == (400, 400)
    assert ApiKey.objects.count() == 1


def test_a_wrong_method_is_told_in_the_common_form(manager: Manager) -> None:
    answer = manager.client.put("/api/v1/keys")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}
    assert answer.json()["error"]["code"] == 405
