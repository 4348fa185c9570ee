"""manage.py issue_key."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from billing.models import Wallet
from marketplace.lib.money import NANO
from marketplace.models import ApiKey
from marketplace.services import keys
from tests.factories import marketplace as make

pytestmark = pytest.mark.django_db


def test_the_last_line_is_a_key_that_opens(capsys: pytest.CaptureFixture[str]) -> None:
    account = make.account(slug="demo")
    call_command("issue_key", "--account", "demo", "--credit", "5.00", "--limit", "1", "--reset", "daily")
    plaintext = capsys.readouterr().out.splitlines()[-1]
    assert keys.authenticate(plaintext).account_id == account.pk
    assert Wallet.objects.get(account=account).balance_nano == 5 * NANO
    assert ApiKey.objects.values_list("limit_nano", "limit_reset").get() == (NANO, "daily")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--account", "nobody"], "Accounts: demo"),
        (["--account", "demo", "--credit", "lots"], "is no amount"),
        (["--account", "demo", "--credit", "-1"], "more than zero"),
        (["--account", "demo", "--reset", "hourly"], "daily, weekly, monthly"),
    ],
)
def test_bad_arguments_say_what_to_change(arguments: list[str], said: str) -> None:
    make.account(slug="demo")
    with pytest.raises(CommandError, match=said):
        call_command("issue_key", *arguments)
