"""The usage page, its file, and credits."""

from __future__ import annotations

import csv
import datetime as dt
import html
import io
import re

import pytest
from django.test import Client
from django.utils import timezone

from billing import rating
from billing.models import Charge
from billing.services import credits, holds
from billing.views import credits as credits_page
from billing.views import usage
from marketplace.models import Account, ApiKey
from marketplace.services import keys
from tests.cast import act_for
from tests.factories.billing import fund
from tests.factories.marketplace import account, user

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
    assert "Nothing charged in this time" in alice.get("/usage").content.decode()


def test_every_digit_of_a_charge_and_of_the_sum_is_shown(alice: Client, wallet: Account) -> None:
    charge(wallet, "gen-1", prompt=1)
    charge(wallet, "gen-2", prompt=3)
    page = alice.get("/usage").content.decode()
    assert "$0.000007" in page
    assert "$0.000021" in page
    assert "$0.000028" in page
    assert "sim-one" in page


def test_the_picture_has_a_name_a_description_and_its_numbers_in_a_table(alice: Client, wallet: Account) -> None:
    charge(wallet, "gen-1", prompt=1)
    charge(wallet, "gen-2", prompt=3, model="acme/two")
    page = alice.get("/usage?span=24h&part=model").content.decode()
    assert '<title id="spent-title">Spent over time</title>' in page
    assert page.count('<rect class="bars-0"') == page.count('<rect class="bars-1"') == 2  # a bar and its key
    hour = f"{timezone.now():%Y-%m-%d %H:00}"
    assert f"{hour}, acme/two: $0.000021</title>" in page
    assert f'<th scope="row" class="nowrap">{hour}</th>' in page


@pytest.mark.parametrize(
    "query", ["span=2026-99", "part=colour", "key=x", "member=-1", "kind=%00", "before=x", "key=٣"]
)
def test_what_makes_no_sense_counts_as_left_out(alice: Client, wallet: Account, query: str) -> None:
    charge(wallet, "gen-1", prompt=1)
    page = alice.get(f"/usage?{query}")
    assert page.status_code == 200
    assert "$0.000007" in page.content.decode()


def test_key_and_model_narrow_list_and_sum(alice: Client, wallet: Account) -> None:
    key, _ = keys.issue(account=wallet, name="one")
    charge(wallet, "gen-1", key=key, prompt=1)
    charge(wallet, "gen-2", prompt=3, model="acme/two")
    assert "$0.000021" not in alice.get(f"/usage?key={key.pk}").content.decode()
    assert "$0.000007" not in alice.get("/usage?model=acme/two").content.decode()
    assert "Nothing fits" in alice.get("/usage?kind=gpu").content.decode()
    assert "$0.000028" in alice.get(f"/usage?span={timezone.now():%Y-%m}").content.decode()


def test_pages_of_requests_begin_where_the_last_one_ended(
    alice: Client, wallet: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "PAGE_SIZE", 2)
    for number in range(1, 6):
        charge(wallet, f"gen-{number}", prompt=number)
    seen, query = [], ""
    while True:
        page = alice.get(f"/usage{query}").content.decode()
        seen += re.findall(r'class="num">(\d) in</td>', page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        if older is None:
            break
        query = html.unescape(older[1])
    assert seen == ["5", "4", "3", "2", "1"]


def test_a_member_sees_their_own_usage_and_an_admin_all(alice: Client, bob: Client, shop: Account) -> None:
    fund(shop, "3.00")
    bobs, _ = keys.issue(account=shop, name="bobs", created_by=user("bob@example.com"))
    alices, _ = keys.issue(account=shop, name="alices", created_by=user("alice@example.com"))
    charge(shop, "gen-1", key=bobs, prompt=1)
    charge(shop, "gen-2", key=alices, prompt=3, model="acme/secret")
    act_for(bob, "shop")
    act_for(alice, "shop")
    for query in ("", f"?member={user('alice@example.com').pk}", f"?key={alices.pk}", "?part=member"):
        for path in ("/usage", "/usage.csv", "/usage/requests.csv"):
            page = bob.get(path + query).content.decode()
            assert "acme/secret" not in page
            assert "0.000021" not in page
            assert "alice@example.com" not in page
            assert "alices" not in page
    assert "$0.000007" in bob.get("/usage").content.decode()
    assert "bob@example.com" in alice.get("/usage?part=member").content.decode()
    assert "$0.000028" in alice.get("/usage").content.decode()


def test_all_playground_keys_are_one_choice(alice: Client, wallet: Account) -> None:
    for reference, prompt in (("gen-1", 1), ("gen-2", 3)):
        key, _ = keys.issue(account=wallet, name="Playground", is_playground=True)
        charge(wallet, reference, key=key, prompt=prompt)
    charge(wallet, "gen-3", prompt=10)
    page = alice.get("/usage?key=playground").content.decode()
    assert "$0.000028" in page
    assert "$0.00007<" not in page
    assert page.count(">Playground</option>") == 1
    by_key = csv.DictReader(io.StringIO(alice.get("/usage.csv?part=key").content.decode()))
    assert {row["key"]: row["amount_usd"] for row in by_key}["Playground"] == "0.000028"


def test_the_file_has_the_same_rows_and_adds_up(alice: Client, wallet: Account) -> None:
    key, _ = keys.issue(account=wallet, name="=HYPERLINK(1)")
    charge(wallet, "gen-1", key=key, prompt=1)
    charge(wallet, "gen-2", prompt=3)
    response = alice.get("/usage/requests.csv")
    assert response.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [row["reference"] for row in rows] == ["gen-2", "gen-1"]
    assert [row["amount_usd"] for row in rows] == ["0.000021", "0.000007"]
    assert rows[1]["key"] == "'=HYPERLINK(1)"


def test_a_strangers_charges_are_nowhere(alice: Client, charlie: Client, wallet: Account) -> None:
    key, _ = keys.issue(account=wallet, name="alices key")
    charge(wallet, "gen-1", key=key)
    for path in ("/usage", f"/usage?key={key.pk}", "/usage.csv", "/usage/requests.csv", "/credits"):
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


def test_the_wallets_history_is_narrowed_paged_and_a_file(
    alice: Client, wallet: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credits_page, "PAGE_SIZE", 2)
    for number in range(1, 4):
        charge(wallet, f"gen-{number}", prompt=number)
    first = alice.get("/credits?what=use").content.decode()
    assert [f"chat:gen-{number}" in first for number in (1, 2, 3)] == [False, True, True]
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = alice.get(f"/credits{html.unescape(older[1])}").content.decode()
    assert [f"chat:gen-{number}" in second for number in (1, 2, 3)] == [True, False, False]
    assert "+$5.00" not in second
    assert "+$5.00" in alice.get("/credits?what=promotional").content.decode()
    rows = list(csv.DictReader(io.StringIO(alice.get("/credits.csv").content.decode())))
    assert [row["amount_usd"] for row in rows] == ["-0.000021", "-0.000014", "-0.000007", "5.00"]
    assert len(alice.get("/credits.csv?what=use").content.decode().splitlines()) == 4


def test_promotional_credit_is_shown_with_its_end_and_what_is_left_of_it(alice: Client, wallet: Account) -> None:
    ends = timezone.now() + dt.timedelta(days=3)
    credits.grant(account_id=wallet.pk, amount_nano=2 * 10**9, reference="spring", expires_at=ends)
    charge(wallet, "gen-1", prompt=100_000)
    page = alice.get("/credits").content.decode()
    assert page.index(f"{ends:%Y-%m-%d %H:%M}") < page.index("$1.30") < page.index("never")


@pytest.mark.parametrize("query", ["before=x", "before=99999999999999999999", "what=nothing"])
def test_a_page_of_history_that_is_none_is_the_first(alice: Client, wallet: Account, query: str) -> None:
    assert "+$5.00" in alice.get(f"/credits?{query}").content.decode()
