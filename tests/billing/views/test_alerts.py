"""The page of alerts."""

from __future__ import annotations

import pytest
from django.test import Client

from billing.models import Alert, AlertRule
from marketplace.models import Account
from tests.cast import act_for

pytestmark = pytest.mark.django_db

GIVEN = {"low_balance": "2.50", "key_limits": "on", "by_mail": "on", "webhook_url": "https://example.com/hook"}


def test_choices_are_kept_and_shown_with_the_secret(alice: Client) -> None:
    page = alice.get("/alerts").content.decode()
    assert "No alert yet" in page
    assert "whsec_" not in page
    assert alice.post("/alerts", GIVEN).status_code == 302
    rule = AlertRule.objects.get()
    assert (rule.low_balance_nano, rule.key_limits, rule.by_mail) == (2_500_000_000, True, True)
    assert "whsec_" not in rule.secret
    page = alice.get("/alerts").content.decode()
    assert 'value="2.50"' in page or 'value="2.5"' in page
    assert "whsec_" in page


def test_a_new_secret_is_shown_with_until_when_the_old_one_signs(alice: Client) -> None:
    assert "no secret yet" in alice.post("/alerts/secret", follow=True).content.decode()
    alice.post("/alerts", GIVEN)
    before = AlertRule.objects.get().secret
    page = alice.post("/alerts/secret", follow=True).content.decode()
    assert AlertRule.objects.get().old_secret == before
    assert "each webhook has two signatures" in page


def test_a_test_is_listed_with_what_became_of_it(alice: Client) -> None:
    alice.post("/alerts", GIVEN)
    assert alice.post("/alerts/test").status_code == 302
    page = alice.get("/alerts").content.decode()
    assert "This is a test" in page
    assert "webhook: on its way" in page


@pytest.mark.parametrize(
    ("change", "says"), [({"webhook_url": "ftp://x"}, "http or https URL"), ({"low_balance": "-1"}, "greater than")]
)
def test_bad_choices_are_told_what_to_change(alice: Client, change: dict[str, str], says: str) -> None:
    answer = alice.post("/alerts", GIVEN | change)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not AlertRule.objects.exists()


def test_a_plain_member_neither_sees_nor_changes_them(bob: Client, shop: Account) -> None:
    act_for(bob, "shop")
    assert bob.get("/alerts").status_code == 403
    assert bob.post("/alerts", GIVEN).status_code == 403
    assert bob.post("/alerts/test").status_code == 403
    assert bob.post("/alerts/secret").status_code == 403
    assert not Alert.objects.exists()
