"""Automatic top-up from eight processes, as eight hosts would do it at the same tick of the clock."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from billing import invariants
from billing.models import TopUp
from billing.services import ledger
from marketplace.lib.money import NANO
from tests.billing.conftest import with_card
from tests.factories import marketplace as make
from tests.factories.billing import sell
from tests.fakes.stripe import FakeStripe
from tests.servers.system import ROOT

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

PROCESSES = 8
ROUNDS = 3
# Set up, say so, wait for the word, then do what the beat's task does.
HOST = f"""
import sys, django
django.setup()
from billing.services import auto_topups, topups
for _ in range({ROUNDS}):
    print("ready", flush=True)
    sys.stdin.readline()
    auto_topups.resume()
    made = [auto_topups.top_up_automatically(account_id) for account_id in auto_topups.due()]
    print(sum(one is not None for one in made), flush=True)
"""


def database_url() -> str:
    """The test's own database, for processes that know nothing of the test."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}"))


def start(fake: FakeStripe) -> subprocess.Popen[str]:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "marketplace.settings",
        "DATABASE_URL": database_url(),
        "STRIPE_SECRET_KEY": "sk_test_fake",
        "STRIPE_API_BASE": fake.url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", HOST],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def say(host: subprocess.Popen[str]) -> None:
    assert host.stdin is not None
    host.stdin.write("go\n")
    host.stdin.flush()


def hear(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()


def test_eight_processes_charge_once_each_time_that_credit_runs_low(stripe: FakeStripe) -> None:
    account, operator = make.account(), make.account()
    # One top-up of $20 is enough each time, however late the last of the eight looks.
    with_card(stripe, account, threshold_nano=10 * NANO)
    hosts = [start(stripe) for _ in range(PROCESSES)]
    try:
        for round_ in range(1, ROUNDS + 1):
            assert [hear(host) for host in hosts] == ["ready"] * PROCESSES
            for host in hosts:
                say(host)
            assert sum(int(hear(host)) for host in hosts) == 1
            assert ledger.wallet_of(account.pk).balance_nano == 20 * NANO
            assert len(stripe.world.charges()) == round_
            sell(account, "20.00", to=operator)
    finally:
        for host in hosts:
            host.communicate(timeout=60)
    assert [host.returncode for host in hosts] == [0] * PROCESSES
    assert stripe.calls.count(("post", "/v1/payment_intents")) == ROUNDS
    assert TopUp.objects.filter(state=TopUp.State.PAID).count() == ROUNDS
    assert invariants.run() == []
