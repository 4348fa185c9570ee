"""The keys pages."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from billing.services import credits
from marketplace.lib.errors import Unauthorized
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.cast import act_for
from tests.factories.marketplace import account

pytestmark = pytest.mark.django_db


def create(client: Client, **given: object) -> str:
    """Make a key through the form; the key that the page shows."""
    form = {"name": "my app", "scopes": ["inference"], **given}
    response = client.post("/keys/create", form)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    found = re.search(r'value="(sk-tp-v1-[^"]+)"', response.content.decode())
    assert found
    return found[1]


def test_a_key_is_shown_once_and_works(alice: Client) -> None:
    key = create(alice)
    assert keys.authenticate(key).account_id == account(email="alice@example.com").pk
    page = alice.get("/keys").content.decode()
    assert "my app" in page
    assert key not in page


def test_the_page_of_a_new_key_says_whether_anything_can_be_paid_with_it(alice: Client) -> None:
    form = {"name": "my app", "scopes": ["inference"]}
    poor = alice.post("/keys/create", form).content.decode()
    assert "This account has no credit yet" in poor
    assert "http://testserver/api/v1<" in poor
    assert "/api/v1/chat/completions" in poor
    credits.grant(account_id=account(email="alice@example.com").pk, amount_nano=1_000_000, reference="g")
    assert "no credit yet" not in alice.post("/keys/create", form).content.decode()


def test_limit_reset_and_expiry_are_kept_exactly(alice: Client) -> None:
    create(alice, limit="0.500000001", limit_reset="weekly", lifetime="7", scopes=["inference", "management"])
    row = ApiKey.objects.get()
    assert (row.limit_nano, row.limit_reset, row.scopes) == (500_000_001, "weekly", ["inference", "management"])
    assert row.expires_at is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"scopes": []},
        {"limit": "-1"},
        {"limit": "0.0000000001"},
        {"limit": "x"},
        {"limit_reset": "hourly"},
    ],
)
def test_wrong_values_are_said_and_make_no_key(alice: Client, wrong: dict[str, object]) -> None:
    response = alice.post("/keys/create", {"name": "a", "scopes": ["inference"], **wrong})
    assert response.status_code == 422
    assert "field-error" in response.content.decode()
    assert not ApiKey.objects.exists()


def test_disabled_keys_are_refused_until_enabled_again(alice: Client) -> None:
    key = create(alice)
    pk = ApiKey.objects.get().pk
    alice.post(f"/keys/{pk}/toggle")
    with pytest.raises(Unauthorized):
        keys.authenticate(key)
    alice.post(f"/keys/{pk}/toggle")
    assert keys.authenticate(key).key_id == pk


def test_a_revoked_key_is_gone(alice: Client) -> None:
    key = create(alice)
    alice.post(f"/keys/{ApiKey.objects.get().pk}/revoke")
    with pytest.raises(Unauthorized):
        keys.authenticate(key)
    assert "No key yet" in alice.get("/keys").content.decode()


@pytest.mark.parametrize("act", ["toggle", "revoke"])
def test_a_strangers_key_is_404(alice: Client, charlie: Client, act: str) -> None:
    create(alice)
    row = ApiKey.objects.get()
    assert charlie.post(f"/keys/{row.pk}/{act}").status_code == 404
    row.refresh_from_db()
    assert not row.disabled
    assert row.deleted_at is None


def test_a_member_sees_the_list_and_changes_nothing(alice: Client, bob: Client, shop: Account) -> None:
    act_for(alice, "shop")
    create(alice, name="shop key")
    act_for(bob, "shop")
    page = bob.get("/keys").content.decode()
    assert "shop key" in page
    assert "New key" not in page
    pk = ApiKey.objects.get().pk
    assert bob.get("/keys/create").status_code == 403
    assert bob.post("/keys/create", {"name": "x", "scopes": ["inference"]}).status_code == 403
    assert bob.post(f"/keys/{pk}/toggle").status_code == 403
    assert bob.post(f"/keys/{pk}/revoke").status_code == 403
    assert ApiKey.objects.filter(pk=pk, disabled=False).exists()


def test_get_changes_nothing(alice: Client) -> None:
    create(alice)
    pk = ApiKey.objects.get().pk
    assert alice.get(f"/keys/{pk}/revoke").status_code == 405
    assert alice.get(f"/keys/{pk}/toggle").status_code == 405
