"""Statements on their pages and in their files: what a spreadsheet adds up and a reader of PDF reads."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pypdf
import pytest
from django.test import Client
from django.utils import timezone

from billing import rating
from billing.services import holds, ledger
from marketplace.models import Account
from tests.billing.services.test_holds import place
from tests.cast import act_for
from tests.factories.billing import fund

MONTH = f"{timezone.now():%Y-%m}"


@pytest.fixture
def shops(shop: Account) -> Account:
    """The organisation with a name in Korean, five dollars, and three requests that were rounded one by one."""
    Account.objects.filter(pk=shop.pk).update(name="한국 상점")
    fund(shop, "5.00")
    for prompt in (1, 1, 2):
        rated = rating.rate({"prompt": 500_000, "completion": 2_000_000_000}, {"prompt": prompt, "completion": 1000})
        hold = place(shop, rated.amount_nano)
        assert holds.settle(hold_id=hold.pk, rated=rated, labels={"model": "acme/one", "provider": "sim-one"})
    shop.refresh_from_db()
    return shop


def open_as(client: Client, path: str) -> str:
    act_for(client, "shop")
    return client.get(path).content.decode()


def test_the_list_leads_to_the_month(alice: Client, shops: Account) -> None:
    assert f"/statements/{MONTH}" in open_as(alice, "/statements")
    text = open_as(alice, f"/statements/{MONTH}")
    for seen in (
        "한국 상점",
        "Promotional credit",
        "acme/one",
        "3,000",
        "$2.00/M tokens",
        "so far",
        "output tokens",
        "Rounding",
    ):
        assert seen in text
    # 1,000 tokens at $2 a million and 0.5 to 1 nano-dollars, three times, each rounded half up.
    assert "$0.006000003" in text


def test_the_files_rows_add_up_to_the_balance(alice: Client, shops: Account) -> None:
    rows = list(csv.DictReader(io.StringIO(open_as(alice, f"/statements/{MONTH}.csv"))))
    assert [row["section"] for row in rows] == ["opening", "movement", "usage", "usage", "usage", "closing"]
    *parts, closing = (Decimal(row["amount_usd"]) for row in rows)
    assert sum(parts) == closing == Decimal(ledger.wallet_of(shops.pk).balance_nano).scaleb(-9)


def test_the_pdf_can_be_read_with_its_korean(alice: Client, shops: Account) -> None:
    act_for(alice, "shop")
    answer = alice.get(f"/statements/{MONTH}.pdf")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert f"turnpike-shop-{MONTH}.pdf" in answer.headers["Content-Disposition"]
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.content)).pages)
    text = text.replace("\0", "")  # pypdf reads the font's two bytes a letter one by one
    for seen in ("한국 상점", "Opening balance", "acme/one", "3,000", "$0.000002", "-$0.006000003", "$4.993999997"):
        assert seen in text
    assert len(answer.content) < 200_000  # only the letters that are used are embedded


@pytest.mark.parametrize("month", ["1999-01", "2026-13", "2026-0", "99999-01", "9999-12"])
def test_other_months_are_not_there(alice: Client, shops: Account, month: str) -> None:
    act_for(alice, "shop")
    assert alice.get(f"/statements/{month}").status_code == 404


def test_members_who_do_not_manage_see_none(bob: Client, shops: Account) -> None:
    act_for(bob, "shop")
    assert bob.get(f"/statements/{MONTH}.csv").status_code == 403
