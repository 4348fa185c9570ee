"""The playground's key: for our own pages, for one session, small and short."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.lib.errors import Unauthorized
from marketplace.models import ApiKey
from marketplace.services import keys
from tests.cast import act_for
from tests.factories.marketplace import account, user

pytestmark = pytest.mark.django_db
OWN = {"Origin": "http://testserver"}


def ask(client: Client) -> str:
    """The key that the page's script gets."""
    response = client.post("/playground/key", headers=OWN)
    assert response.status_code == 200
    return str(response.json()["key"])


def test_the_key_is_small_short_and_for_inference_only(alice: Client) -> None:
    caller = keys.authenticate(ask(alice))
    row = ApiKey.objects.get(pk=caller.key_id)
    assert caller.scopes == {"inference"}
    assert (row.limit_nano, row.limit_reset) == (10**9, "daily")
    assert row.expires_at is not None
    assert dt.timedelta(minutes=59) < row.expires_at - timezone.now() <= dt.timedelta(hours=1)


def test_a_session_keeps_its_key(alice: Client) -> None:
    assert ask(alice) == ask(alice)


def test_two_sessions_have_two_keys(alice: Client) -> None:
    other = Client()
    other.force_login(user("alice@example.com"))
    assert ask(alice) != ask(other)


def test_a_key_about_to_expire_gets_a_new_secret_and_keeps_its_daily_limit(alice: Client) -> None:
    old = ask(alice)
    row = ApiKey.objects.get(is_playground=True)
    ApiKey.objects.filter(pk=row.pk).update(expires_at=timezone.now() + dt.timedelta(minutes=5))
    new = ask(alice)
    assert new != old
    assert keys.authenticate(new).key_id == row.pk
    with pytest.raises(Unauthorized):
        keys.authenticate(old)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://testserver.evil.example"])
def test_other_origins_get_no_key(alice: Client, origin: str | None) -> None:
    response = alice.post("/playground/key", headers={"Origin": origin} if origin else {})
    assert response.status_code == 403
    assert not ApiKey.objects.filter(is_playground=True).exists()


def test_without_the_csrf_token_there_is_no_key(alice: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user("alice@example.com"))
    assert strict.post("/playground/key", headers=OWN).status_code == 403


def test_log_out_ends_the_key(alice: Client) -> None:
    key = ask(alice)
    alice.post("/accounts/logout/")
    with pytest.raises(Unauthorized):
        keys.authenticate(key)


def test_switching_the_account_ends_the_key(alice: Client, shop: object) -> None:
    key = ask(alice)
    act_for(alice, "shop")
    with pytest.raises(Unauthorized):
        keys.authenticate(key)
    assert keys.authenticate(ask(alice)).account_id != account(email="alice@example.com").pk


def test_the_key_is_nowhere_in_the_session_in_clear(alice: Client) -> None:
    key = ask(alice)
    assert key not in str(dict(alice.session))


def test_it_is_not_listed_among_the_keys(alice: Client) -> None:
    ask(alice)
    assert "No key yet" in alice.get("/keys").content.decode()
