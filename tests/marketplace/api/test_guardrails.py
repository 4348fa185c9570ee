"""/api/v1/guardrails: made, changed and assigned by a program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from marketplace.models import Guardrail, Member
from marketplace.services import guardrails, keys
from tests.factories.marketplace import account, team

pytestmark = pytest.mark.django_db


class Manager:
    """A program with a management key of the shop."""

    def __init__(self) -> None:
        self.account = team(slug="shop", members=("bob@example.com",))
        self.key, plaintext = keys.issue(account=self.account, name="manager", scopes=["management"])
        self.client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {plaintext}"})

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        content = "" if body is None else json.dumps(body)
        answer = self.client.generic(method, f"/api/v1/guardrails{path}", content, content_type="application/json")
        return answer.status_code, answer.json()

    def make(self, **values: Any) -> dict[str, Any]:
        status, made = self.ask("POST", "", {"name": "Rules", **values})
        assert status == 201, made
        data: dict[str, Any] = made["data"]
        return data


@pytest.fixture
def manager() -> Manager:
    return Manager()


def test_it_is_kept_as_it_was_said(manager: Manager) -> None:
    said = {
        "description": "for interns",
        "allowed_models": ["acme/small"],
        "ignored_providers": ["groq"],
        "enforce_zdr": True,
        "data_collection": "deny",
        "limit_usd": 1.5,
        "reset_interval": "weekly",
        "content_filters": [{"pattern": "PRJ-[0-9]+", "action": "redact", "label": "PROJECT"}],
        "content_filter_builtins": [
            {"slug": "email", "action": "block", "label": "EMAIL", "scan_scope": "user_only"}
        ],
    }  # fmt: skip
    made = manager.make(**said)
    assert {name: made[name] for name in said} == said
    assert manager.ask("GET", f"/{made['id']}") == (200, {"data": made})
    assert manager.ask("GET", "") == (200, {"data": [made], "total_count": 1})
    assert Guardrail.objects.get().limit_nano == 1_500_000_000


def test_a_change_touches_only_what_it_names_and_null_empties(manager: Manager) -> None:
    made = manager.make(limit_usd=3, reset_interval="daily", allowed_models=["a/b"], enforce_zdr=True)
    status, changed = manager.ask("PATCH", f"/{made['id']}", {"name": "New", "allowed_models": None})
    assert status == 200
    assert changed["data"] == made | {
        "name": "New", "allowed_models": None, "updated_at": changed["data"]["updated_at"]
    }  # fmt: skip
    nothing = {"limit_usd": None, "reset_interval": None, "enforce_zdr": None, "description": None}
    changed = manager.ask("PATCH", f"/{made['id']}", nothing)[1]["data"]
    assert (changed["limit_usd"], changed["reset_interval"], changed["enforce_zdr"]) == (None, None, False)


def test_keys_are_assigned_listed_and_taken_away(manager: Manager) -> None:
    made = manager.make()
    path = f"/{made['id']}/assignments/keys"
    hashes = {"key_hashes": [manager.key.digest]}
    assert manager.ask("POST", path, hashes) == (200, {"assigned_count": 1})
    status, listed = manager.ask("GET", path)
    assert (status, listed["total_count"]) == (200, 1)
    assert listed["data"][0]["key_hash"] == manager.key.digest
    assert manager.ask("GET", "/assignments/keys")[1] == listed
    assert manager.ask("POST", f"{path}/remove", hashes) == (200, {"unassigned_count": 1})
    assert manager.ask("GET", path)[1]["total_count"] == 0


def test_members_are_assigned_listed_and_taken_away(manager: Manager) -> None:
    made = manager.make()
    path = f"/{made['id']}/assignments/members"
    bob = str(Member.objects.get(account=manager.account, user__email="bob@example.com").user_id)
    assert manager.ask("POST", path, {"member_user_ids": [bob]}) == (200, {"assigned_count": 1})
    listed = manager.ask("GET", path)[1]
    assert [one["user_id"] for one in listed["data"]] == [bob]
    assert manager.ask("GET", "/assignments/members")[1] == listed
    assert manager.ask("POST", f"{path}/remove", {"member_user_ids": [bob]}) == (200, {"unassigned_count": 1})


def test_strangers_keys_and_people_cannot_be_assigned(manager: Manager) -> None:
    made = manager.make()
    outsider = account(email="charlie@example.com")
    theirs, _ = keys.issue(account=outsider, name="theirs")
    assert manager.ask("POST", f"/{made['id']}/assignments/keys", {"key_hashes": [theirs.digest]})[0] == 404
    people = {"member_user_ids": [str(outsider.members.get().user_id)]}
    assert manager.ask("POST", f"/{made['id']}/assignments/members", people)[0] == 400
    assert guardrails.policy_of(key_id=theirs.pk, account_id=outsider.pk) == guardrails.NOTHING


def test_a_deleted_one_is_gone_and_binds_nobody(manager: Manager) -> None:
    made = manager.make(allowed_models=[])
    manager.ask("POST", f"/{made['id']}/assignments/keys", {"key_hashes": [manager.key.digest]})
    assert manager.ask("DELETE", f"/{made['id']}") == (200, {"deleted": True})
    assert manager.ask("GET", f"/{made['id']}")[0] == 404
    assert guardrails.policy_of(key_id=manager.key.pk, account_id=manager.account.pk) == guardrails.NOTHING


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"limit_usd": -1},
        {"reset_interval": "hourly"},
        {"allowed_models": [""]},
        {"content_filters": [{"pattern": "(", "action": "block"}]},
        {"content_filters": [{"pattern": "a", "action": "flag"}]},
        {"content_filter_builtins": [{"slug": "address", "action": "block"}]},
    ],
)
def test_wrong_values_are_400(manager: Manager, wrong: dict[str, Any]) -> None:
    status, said = manager.ask("POST", "", {"name": "Rules", **wrong})
    assert (status, said["error"]["metadata"]["error_type"]) == (400, "invalid_request")
    assert not Guardrail.objects.exists()
