"""Answers of the management API held against the public reference's own document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from marketplace.models import Member
from marketplace.services import keys
from tests import reference
from tests.factories.marketplace import ProviderFactory, team

pytestmark = pytest.mark.django_db


class Manager:
    """A program with a management key of the shop."""

    def __init__(self) -> None:
        self.account = team(slug="shop", members=("bob@example.com",))
        self.row, plaintext = keys.issue(account=self.account, name="manager", scopes=["management"])
        self.client = Client(headers={"authorization": f"Bearer {plaintext}"})

    def check(self, method: str, path: str, of: str, body: Any = None, *, status: int = 200) -> dict[str, Any]:
        """Ask, and hold the answer against the operation `of` the reference."""
        content = "" if body is None else json.dumps(body)
        answer = self.client.generic(method, f"/api/v1{path}", content, content_type="application/json")
        assert answer.status_code == status, answer.content
        found: dict[str, Any] = answer.json()
        reference.check(of, found, method=method.lower(), status=str(status))
        return found


def test_keys() -> None:
    manager = Manager()
    limits = {"limit": 5.5, "limit_reset": "weekly", "expires_at": "2100-01-01T00:00:00Z"}
    made = manager.check("POST", "/keys", "/keys", {"name": "app"} | limits, status=201)
    path = f"/keys/{made['data']['hash']}"
    manager.check("GET", "/keys", "/keys")
    manager.check("GET", path, "/keys/{hash}")
    manager.check("PATCH", path, "/keys/{hash}", {"disabled": True, "limit": None})
    manager.check("DELETE", path, "/keys/{hash}")


def test_account_and_activity() -> None:
    manager = Manager()
    manager.check("GET", "/organization/members", "/organization/members")
    manager.check("GET", "/activity", "/activity")


def test_guardrails() -> None:
    manager = Manager()
    said = {
        "name": "Rules", "description": "for interns", "limit_usd": 2, "reset_interval": "monthly",
        "allowed_models": ["acme/small"], "ignored_providers": ["groq"], "enforce_zdr": True,
        "content_filters": [{"pattern": "PRJ", "action": "redact", "label": "PROJECT"}],
        "content_filter_builtins": [{"slug": "email", "action": "block", "scan_scope": "user_only"}],
    }  # fmt: skip
    made = manager.check("POST", "/guardrails", "/guardrails", said, status=201)
    path = f"/guardrails/{made['data']['id']}"
    manager.check("GET", path, "/guardrails/{id}")
    manager.check("PATCH", path, "/guardrails/{id}", {"name": "New"})
    manager.check("GET", "/guardrails", "/guardrails")
    bob = str(Member.objects.get(user__email="bob@example.com").user_id)
    for kind, given in (("keys", {"key_hashes": [manager.row.digest]}), ("members", {"member_user_ids": [bob]})):
        one = f"/guardrails/{{id}}/assignments/{kind}"
        manager.check("POST", f"{path}/assignments/{kind}", one, given)
        manager.check("GET", f"{path}/assignments/{kind}", one)
        manager.check("GET", f"/guardrails/assignments/{kind}", f"/guardrails/assignments/{kind}")
        manager.check("POST", f"{path}/assignments/{kind}/remove", f"{one}/remove", given)
    manager.check("DELETE", path, "/guardrails/{id}")


def test_presets() -> None:
    manager = Manager()
    body = {"model": "acme/small", "messages": [{"role": "system", "content": "Be kind."}], "temperature": 0.5}
    manager.check("POST", "/presets/kind/chat/completions", "/presets/{slug}/chat/completions", body)
    manager.check("POST", "/presets/kind/messages", "/presets/{slug}/messages", {"model": "acme/small"})
    manager.check("POST", "/presets/kind/responses", "/presets/{slug}/responses", {"model": "acme/small"})
    manager.check("GET", "/presets", "/presets")
    manager.check("GET", "/presets/kind", "/presets/{slug}")
    manager.check("GET", "/presets/kind/versions", "/presets/{slug}/versions")
    manager.check("GET", "/presets/kind/versions/1", "/presets/{slug}/versions/{version}")


def test_keys_for_apps() -> None:
    manager = Manager()
    wanted = {"callback_url": "https://app.example.com/", "limit": 1}
    made = manager.check("POST", "/auth/keys/code", "/auth/keys/code", wanted)
    manager.check("POST", "/auth/keys", "/auth/keys", {"code": made["data"]["id"]})


def test_provider_keys() -> None:
    manager = Manager()
    ProviderFactory(slug="openai")
    made = manager.check("POST", "/byok", "/byok", {"provider": "openai", "key": "sk-1"}, status=201)
    path = f"/byok/{made['data']['id']}"
    manager.check("GET", "/byok", "/byok")
    manager.check("GET", path, "/byok/{id}")
    manager.check("PATCH", path, "/byok/{id}", {"is_fallback": True, "allowed_models": ["acme/small"]})
    manager.check("DELETE", path, "/byok/{id}")
