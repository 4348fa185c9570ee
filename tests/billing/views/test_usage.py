"""The usage page, its file, and credits."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
from django.test import Client
from django.utils import timezone

from billing import rating
from billing.models import Charge
from billing.services import holds
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.cast import act_for
from tests.factories.billing import fund
from tests.factories.marketplace import account

pytestmark = pytest.mark.django_db


def charge(
    owner: Account, reference: str, *, key: ApiKey | None = None, prompt: int = 1, model: str = "acme/one"
) -> Charge:
    """A settled chat: `prompt` tokens at $7 a million, so that one costs 7,000 nano-dollars."""
    rated = rating.rate({"prompt": 7_000_000_000}, {"prompt": prompt})
    hold = holds.place(
        account_id=owner.pk,
        key_id=key.pk if key else None,
        amount_nano=rated.amount_nano,
        kind="chat",
        reference=reference,
        expires_in=dt.timedelta(minutes=1),
    )
    made = holds.settle(hold_id=hold.pk, rated=rated, labels={"model": model, "provider": "sim-one"})
    assert made
    return made


@pytest.fixture
def wallet(alice: Client) -> Account:
    """Alice's account with five dollars."""
    owner = account(email="alice@example.com")
    fund(owner, "5.00")
    return owner


def test_an_account_without_charges_is_told_where_they_come_from(alice: Client) -> None:
    assert "Nothing charged yet" in alice.get("/usage").content.decode()


def test_every_digit_of_a_charge_and_of_the_sum_is_shown(alice: Client, wallet: Account) -> None:
    charge(wallet, "gen-1", prompt=1)
    charge(wallet, "gen-2", prompt=3)
    page = alice.get("/usage").content.decode()
    assert "$0.000007" in page
    assert "$0.000021" in page
    assert "$0.000028" in page
    assert "sim-one" in page


def test_key_model_and_day_narrow_list_and_sum(alice: Client, wallet: Account) -> None:
    key, _ = keys.issue(account=wallet, name="one")
    charge(wallet, "gen-1", key=key, prompt=1)
    charge(wallet, "gen-2", prompt=3, model="acme/two")
    today = timezone.now().date()
    assert "$0.000021" not in alice.get(f"/usage?key={key.pk}").content.decode()
    assert "$0.000021" in alice.get("/usage?model=acme/two").content.decode()
    assert "No charge fits" in alice.get(f"/usage?first={today + dt.timedelta(days=1)}").content.decode()
    assert "$0.000028" in alice.get(f"/usage?first={today}&last={today}").content.decode()


def test_all_playground_keys_are_one_choice(alice: Client, wallet: Account) -> None:
    for reference, prompt in (("gen-1", 1), ("gen-2", 3)):
        key, _ = keys.issue(account=wallet, name="Playground", is_playground=True)
        charge(wallet, reference, key=key, prompt=prompt)
    charge(wallet, "gen-3", prompt=10)
    page = alice.get("/usage?key=playground").content.decode()
    assert "$0.000028" in page
    assert "$0.00007<" not in page
    assert page.count(">Playground</option>") == 1


def test_the_file_has_the_same_rows_and_adds_up(alice: Client, wallet: Account) -> None:
    key, _ = keys.issue(account=wallet, name="=HYPERLINK(1)")
    charge(wallet, "gen-1", key=key, prompt=1)
    charge(wallet, "gen-2", prompt=3)
    response = alice.get("/usage.csv")
    assert response.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [row["reference"] for row in rows] == ["gen-2", "gen-1"]
    assert [row["amount_usd"] for row in rows] == ["0.000021", "0.000007"]
    assert rows[1]["key"] == "'=HYPERLINK(1)"


def test_a_strangers_charges_are_nowhere(alice: Client, charlie: Client, wallet: Account) -> None:
    key, _ = keys.issue(account=wallet, name="alices key")
    charge(wallet, "gen-1", key=key)
    for path in ("/usage", f"/usage?key={key.pk}", "/usage.csv", "/credits"):
        page = charlie.get(path).content.decode()
        assert "gen-1" not in page
        assert "alices key" not in page
        assert "$0.000007" not in page


def test_credits_show_balance_held_grant_and_ledger(alice: Client, wallet: Account) -> None:
    charge(wallet, "gen-1")
    holds.place(
        account_id=wallet.pk,
        key_id=None,
        amount_nano=1_000_000,
        kind="chat",
        reference="gen-open",
        expires_in=dt.timedelta(minutes=1),
    )
    page = alice.get("/credits").content.decode()
    assert "$4.999993" in page
    assert "$0.001" in page
    assert "$4.998993" in page
    assert "+$5.00" in page
    assert "−$0.000007" in page
    assert "Card payments are off" in page


def test_a_member_sees_the_balance_and_not_the_ledger(alice: Client, bob: Client, shop: Account) -> None:
    fund(shop, "3.00")
    act_for(bob, "shop")
    page = bob.get("/credits").content.decode()
    assert "$3.00" in page
    assert "+$3.00" not in page
    assert "Owners and admins" in page
