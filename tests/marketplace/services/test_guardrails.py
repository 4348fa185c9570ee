"""Guardrails: what is kept, what is refused, and how several become one policy."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.lib.errors import Forbidden, InvalidRequest
from marketplace.models import Account, Guardrail
from marketplace.services import guardrails, keys
from tests.factories import marketplace as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    return make.account()


def made(account: Account, **values: Any) -> Guardrail:
    return guardrails.create(account=account, values={"name": "Rules", **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "  "}, "needs a name"),
        ({"limit_nano": -1}, "zero or more"),
        ({"allowed_models": ["a/b"] + [f"a/{n}" for n in range(500)]}, "at most 500"),
        ({"content_filters": [{"pattern": "(", "action": "block"}]}, "RE2"),
        ({"content_filters": [{"pattern": "a", "action": "flag"}]}, "block or redact"),
        ({"content_filter_builtins": [{"slug": "person-name", "action": "block"}]}, "language model"),
        ({"content_filter_builtins": [{"slug": "email", "action": "block", "scan_scope": "x"}]}, "scan_scope"),
        ({"content_filters": [{"pattern": "a", "action": "block"}] * 51}, "at most 50"),
    ],
)
def test_wrong_values_say_what_to_change(alice: Account, values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        made(alice, **values)
    assert not Guardrail.objects.exists()


def test_allowed_lists_intersect_and_refused_ones_add_up(alice: Account) -> None:
    policy = guardrails.merged(
        [
            made(alice, allowed_models=["acme/*", "other/one"], ignored_models=["acme/bad"]),
            made(alice, allowed_models=["Acme/Small", "acme/bad", "other/two"], allowed_providers=["vertex"]),
            made(alice, ignored_providers=["groq"], enforce_zdr=True),
        ]
    )
    admitted = [slug for slug in ("acme/small", "acme/bad", "other/one", "other/two") if policy.admits_model(slug)]
    assert admitted == ["acme/small"]
    assert [policy.admits_provider(slug) for slug in ("vertex", "vertex/eu", "groq")] == [True, True, False]
    assert policy.zdr
    with pytest.raises(Forbidden, match="other/one"):
        policy.require_model("other/one")


def test_an_empty_list_of_what_is_allowed_allows_nothing(alice: Account) -> None:
    assert not guardrails.merged([made(alice, allowed_models=[])]).admits_model("acme/small")
    assert guardrails.merged([made(alice, allowed_models=None)]).admits_model("acme/small")


def test_a_key_has_one_and_leaves_its_former(alice: Account) -> None:
    key, _ = keys.issue(account=alice, name="app")
    first, second = made(alice, name="First"), made(alice, name="Second")
    assert guardrails.assign_keys(row=first, keys=[key]) == 1
    assert guardrails.assign_keys(row=first, keys=[key]) == 0
    assert guardrails.assign_keys(row=second, keys=[key]) == 1
    assert guardrails.policy_of(key_id=key.pk, account_id=alice.pk).names == ("Second",)
    assert guardrails.unassign_keys(row=first, keys=[key]) == 0
    assert guardrails.unassign_keys(row=second, keys=[key]) == 1
    assert guardrails.policy_of(key_id=key.pk, account_id=alice.pk) == guardrails.NOTHING


def test_json_values_are_read_text_by_text_but_not_files(alice: Account) -> None:
    row = made(alice, content_filters=[{"pattern": "secret", "action": "redact"}])
    given = {"a": ["secret", 1, None], "file": "data:text/plain,secret"}
    wanted = {"a": ["[FILTERED]", 1, None], "file": "data:text/plain,secret"}
    assert guardrails.merged([row]).value(given) == wanted
