"""API keys: issued once, recognised by digest, ended at once."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from marketplace.lib import ids
from marketplace.lib.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.factories import marketplace as make


@pytest.fixture
def alice(db: None) -> Account:
    """Somebody."""
    return make.account()


class TestIssue:
    """Making a key."""

    def test_the_key_opens_and_is_not_kept(self, alice: Account) -> None:
        row, plaintext = keys.issue(account=alice, name=" laptop ")
        caller = keys.authenticate(plaintext)
        assert (caller.account_id, caller.key_id, caller.scopes) == (alice.pk, row.pk, frozenset({"inference"}))
        assert row.name == "laptop"
        stored = " ".join(str(value) for value in ApiKey.objects.values_list(flat=False)[0])
        assert plaintext not in stored

    def test_the_label_shows_both_ends_only(self, alice: Account) -> None:
        row, plaintext = keys.issue(account=alice, name="k")
        assert row.label == f"{plaintext[:12]}...{plaintext[-3:]}"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"scopes": ["everything"]},
            {"scopes": []},
            {"limit_nano": -1},
            {"limit_reset": "hourly"},
            {"expires_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)},
        ],
    )
    def test_senseless_wishes_are_refused(self, alice: Account, wrong: dict[str, object]) -> None:
        with pytest.raises(InvalidRequest):
            keys.issue(account=alice, name="k", **wrong)  # type: ignore[arg-type]
        assert not ApiKey.objects.exists()


class TestAuthenticate:
    """Recognising a key."""

    def test_a_typing_error_costs_no_query(self, db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(0), pytest.raises(Unauthorized, match="copied whole"):
            keys.authenticate(ids.new_api_key()[:-1] + "!")

    def test_an_unknown_key_is_refused(self, db: None) -> None:
        with pytest.raises(Unauthorized, match="does not exist"):
            keys.authenticate(ids.new_api_key())

    def test_a_disabled_key_is_refused_and_can_be_enabled(self, alice: Account) -> None:
        row, plaintext = keys.issue(account=alice, name="k")
        keys.change(account=alice, key_id=row.pk, disabled=True)
        with pytest.raises(Unauthorized, match="disabled"):
            keys.authenticate(plaintext)
        keys.change(account=alice, key_id=row.pk, disabled=False)
        assert keys.authenticate(plaintext).key_id == row.pk

    def test_an_expired_key_is_refused(self, alice: Account) -> None:
        row, plaintext = keys.issue(account=alice, name="k", expires_at=timezone.now() + dt.timedelta(hours=1))
        ApiKey.objects.filter(pk=row.pk).update(expires_at=timezone.now())
        with pytest.raises(Unauthorized, match="expired"):
            keys.authenticate(plaintext)

    def test_a_deleted_key_is_gone(self, alice: Account) -> None:
        row, plaintext = keys.issue(account=alice, name="k")
        keys.delete(account=alice, key_id=row.pk)
        with pytest.raises(Unauthorized, match="does not exist"):
            keys.authenticate(plaintext)
        assert keys.listed(account_id=alice.pk) == []

    def test_the_last_use_is_remembered_once_a_minute(
        self, alice: Account, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        row, plaintext = keys.issue(account=alice, name="k")
        keys.authenticate(plaintext)
        row.refresh_from_db()
        assert row.last_used_at is not None
        with django_assert_num_queries(1):
            keys.authenticate(plaintext)

    def test_a_scope_that_is_missing_is_named(self, alice: Account) -> None:
        _, plaintext = keys.issue(account=alice, name="k", scopes=["management"])
        with pytest.raises(Forbidden, match="inference"):
            keys.authenticate(plaintext).require("inference")


def test_a_strangers_key_is_not_found(alice: Account) -> None:
    row, _ = keys.issue(account=alice, name="k")
    stranger = make.account(email="charlie@example.com")
    with pytest.raises(NotFound):
        keys.change(account=stranger, key_id=row.pk, disabled=True)
    with pytest.raises(NotFound):
        keys.delete(account=stranger, key_id=row.pk)
    row.refresh_from_db()
    assert (row.disabled, row.deleted_at) == (False, None)


def test_playground_keys_are_not_listed(alice: Account) -> None:
    keys.issue(account=alice, name="browser", is_playground=True)
    shown, _ = keys.issue(account=alice, name="mine")
    assert keys.listed(account_id=alice.pk) == [shown]
