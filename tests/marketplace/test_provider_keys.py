"""Accounts' own provider keys: kept, changed, hidden, rotated and wiped, through the API and the page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.test import Client

from marketplace.lib import crypto
from marketplace.models import Account, Provider, ProviderKey
from marketplace.services import keys, provider_keys
from tests.cast import act_for, alice, bob, charlie, shop
from tests.factories.marketplace import ProviderFactory, account

__all__ = ("alice", "bob", "charlie", "shop")

pytestmark = pytest.mark.django_db
SECRET = "sk-real-1234567890abcdef"


@pytest.fixture
def provider() -> Provider:
    ProviderFactory(slug="openai", name="OpenAI", base_url="https://api.example.com/v1")
    return Provider.objects.get()


class Manager:
    """A program with a management key."""

    def __init__(self, email: str = "alice@example.com") -> None:
        self.account = account(email=email)
        _, plaintext = keys.issue(account=self.account, name="manager", scopes=["management"])
        self.client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {plaintext}"})

    def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        content = "" if body is None else json.dumps(body)
        answer = self.client.generic(method, f"/api/v1/byok{path}", content, content_type="application/json")
        assert SECRET not in answer.content.decode()
        return answer.status_code, answer.json()


def test_it_is_kept_listed_changed_rotated_and_wiped(provider: Provider) -> None:
    manager = Manager()
    status, made = manager.ask("POST", "", {"provider": "openai", "key": SECRET, "name": "ours"})
    assert status == 201
    data = made["data"]
    assert (data["provider"], data["label"], data["is_fallback"]) == ("openai", "sk-...cdef", False)
    row = ProviderKey.objects.get()
    assert SECRET not in row.sealed
    assert row.credentials() == {"api_key": SECRET}
    path = f"/{data['id']}"
    assert manager.ask("GET", path) == (200, made)
    changes = {"is_fallback": True, "allowed_models": ["acme/small"], "disabled": True, "name": None}
    status, changed = manager.ask("PATCH", path, changes)
    assert (status, changed["data"]) == (200, data | changes)
    row.refresh_from_db()
    assert row.credentials() == {"api_key": SECRET}
    assert manager.ask("PATCH", path, {"key": "sk-new-abcdefgh12345678"})[0] == 200
    row.refresh_from_db()
    assert row.credentials() == {"api_key": "sk-new-abcdefgh12345678"}
    assert manager.ask("DELETE", path) == (200, {"deleted": True})
    row.refresh_from_db()
    assert row.sealed == ""
    assert manager.ask("GET", path)[0] == 404
    assert manager.ask("GET") == (200, {"data": [], "total_count": 0})


def test_lists_are_narrowed_and_nobody_elses(provider: Provider) -> None:
    manager, stranger = Manager(), Manager("charlie@example.com")
    ProviderFactory(slug="other")
    for name in ("openai", "other"):
        manager.ask("POST", "", {"provider": name, "key": SECRET})
    assert [one["sort_order"] for one in manager.ask("GET")[1]["data"]] == [0, 1]
    found = manager.ask("GET", "?provider=other")[1]
    assert [one["provider"] for one in found["data"]] == ["other"]
    assert stranger.ask("GET")[1]["total_count"] == 0
    for method in ("GET", "DELETE"):
        assert stranger.ask(method, f"/{found['data'][0]['id']}")[0] == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "nobody"},
        {"provider": "open\u0001ai"},
        {"key": "   "},
        {"key": "two\nlines"},
        {"key": "{broken"},
        {"allowed_models": ["a"] * 101},
        {"sort_order": -1},
    ],
)
def test_wrong_values_are_400_and_do_not_repeat_the_key(provider: Provider, wrong: dict[str, Any]) -> None:
    status, said = Manager().ask("POST", "", {"provider": "openai", "key": SECRET} | wrong)
    assert (status, said["error"]["metadata"]["error_type"]) == (400, "invalid_request")
    assert not ProviderKey.objects.exists()


def test_a_key_copied_elsewhere_or_whose_provider_moved_does_not_open(provider: Provider) -> None:
    one = provider_keys.keep(account=account(), provider="openai", key=SECRET)
    two = provider_keys.keep(account=account(email="charlie@example.com"), provider="openai", key="sk-theirs")
    two.sealed = one.sealed
    with pytest.raises(crypto.WrongSecret):
        two.credentials()
    provider.base_url = "https://elsewhere.example.com/v1"
    provider.save()
    with pytest.raises(crypto.WrongSecret):
        ProviderKey.objects.get(pk=one.pk).credentials()


def test_only_whom_it_serves(provider: Provider) -> None:
    owner = account()
    maker = owner.members.get().user
    mine, _ = keys.issue(account=owner, name="mine", created_by=maker)
    other, _ = keys.issue(account=owner, name="other")
    for values in ({"allowed_api_key_hashes": [mine.digest]}, {"allowed_user_ids": [str(maker.pk)]}):
        row = provider_keys.keep(account=owner, provider="openai", key=SECRET, values=values)
        assert provider_keys.usable(account_id=owner.pk, key_id=mine.pk) == [row]
        assert provider_keys.usable(account_id=owner.pk, key_id=other.pk) == []
        provider_keys.forget(row=row)


def test_secrets_are_encrypted_anew_with_the_newest_key(provider: Provider, settings: Any) -> None:
    provider.seal({"api_key": "the house's"})
    provider.save()
    row = provider_keys.keep(account=account(), provider="openai", key=SECRET)
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    call_command("rotate_secrets")
    settings.ENCRYPTION_KEYS = [new]
    assert ProviderKey.objects.get(pk=row.pk).credentials() == {"api_key": SECRET}
    assert Provider.objects.get(pk=provider.pk).credentials() == {"api_key": "the house's"}
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="2 credentials open with none"):
        call_command("rotate_secrets")


class TestPage:
    """The same by hand."""

    GIVEN = {"provider": "openai", "key": SECRET, "order": "after", "allowed_models": "acme/small"}

    def test_it_is_kept_switched_and_wiped(self, alice: Client, provider: Provider) -> None:
        assert alice.post("/provider-keys", self.GIVEN).status_code == 302
        page = alice.get("/provider-keys").content.decode()
        assert "after shared capacity" in page
        assert SECRET not in page
        row = ProviderKey.objects.get()
        alice.post(f"/provider-keys/{row.public_id}/toggle")
        assert "disabled" in alice.get("/provider-keys").content.decode()
        alice.post(f"/provider-keys/{row.public_id}/forget")
        assert "No provider key yet" in alice.get("/provider-keys").content.decode()

    def test_a_wrong_form_says_so_and_forgets_the_key(self, alice: Client, provider: Provider) -> None:
        answer = alice.post("/provider-keys", {**self.GIVEN, "order": "never"})
        assert answer.status_code == 422
        assert SECRET not in answer.content.decode()

    def test_a_member_reads_and_changes_nothing(
        self, alice: Client, bob: Client, shop: Account, provider: Provider
    ) -> None:
        row = provider_keys.keep(account=shop, provider="openai", key=SECRET)
        act_for(bob, "shop")
        assert "OpenAI" in bob.get("/provider-keys").content.decode()
        assert bob.post("/provider-keys", self.GIVEN).status_code == 403
        assert bob.post(f"/provider-keys/{row.public_id}/forget").status_code == 403
        assert ProviderKey.objects.get().sealed
