"""Staff's pages of what is owed: who may look, who may book."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from billing.models import PaidInvoice
from marketplace.models import Account, Endpoint
from tests.cast import act_for, logged_in
from tests.factories import marketplace as make
from tests.factories.billing import fund, sell

PATH = "/payables/shop/provider_payable/2026-09?provider=shops"
FORM = {"invoice": "R 1", "amount": "0.96", "paid_on": "2026-10-02"}


@pytest.fixture
def sold(shop: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The shop earned 95 cents in September."""
    caller = make.account(email="caller@example.com", slug="caller")
    with monkeypatch.context() as patched:
        patched.setattr(timezone, "now", lambda: dt.datetime(2026, 9, 9, tzinfo=dt.UTC))
        fund(caller, "10.00")
        sell(caller, "1.00", to=shop, model="acme/one", provider="shops", endpoint=4711)
    return shop


def staff(*permissions: str) -> Client:
    """A member of staff with these permissions."""
    user = make.user("staff@example.com")
    make.account(email=user.email, slug="staff-own")
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user.email)


def test_an_invoice_is_recorded_with_its_difference_named(alice: Client, sold: Account) -> None:
    browser = staff("add_paidinvoice")
    assert "?provider=shops" in browser.get("/payables").content.decode()
    text = browser.get(PATH).content.decode()
    for seen in ("4711", "$0.95", "$0.05", "Record the paid invoice"):
        assert seen in text
    answer = browser.post(PATH, FORM)
    assert answer.status_code == 422
    assert "The invoice is $0.01 more than our books say ($0.95)" in answer.content.decode()
    assert browser.post(PATH, FORM | {"accept_difference": "on"}).headers["Location"] == "/payables"
    assert "invoice R 1, 2026-10-02; $0.01 beyond the books" in browser.get("/payables").content.decode()
    assert "Record the paid invoice" not in browser.get(PATH).content.decode()
    act_for(alice, "shop")
    assert "R 1" in alice.get("/earnings").content.decode()


def test_looking_is_for_staff_and_booking_for_those_who_may(alice: Client, sold: Account) -> None:
    for path in ("/payables", PATH):
        assert alice.get(path).status_code == 404
    assert alice.post(PATH, FORM).status_code == 404
    browser = staff()
    assert browser.get(PATH).status_code == 200
    assert browser.post(PATH, FORM).status_code == 403
    assert browser.get(PATH.replace("2026-09", "2026-08")).status_code == 404
    assert not PaidInvoice.objects.exists()


def test_lines_name_provider_and_model_and_lead_to_them(sold: Account) -> None:
    caller = Account.objects.get(slug="caller")
    make.EndpointFactory(model__slug="one", upstream="one-fp8", provider__slug="shops", provider__name="The Shop")
    place = Endpoint.objects.get(upstream="one-fp8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timezone, "now", lambda: dt.datetime(2026, 9, 10, tzinfo=dt.UTC))
        sell(caller, "0.50", to=sold, model="acme/one", provider="shops", endpoint=place.pk)
        sell(caller, "0.25", to=sold, model="acme/gone", provider="shops", endpoint=4712)
    browser = staff()
    link = '<a class="small" href="/models?provider=shops">The Shop</a>'
    assert link in browser.get("/payables").content.decode()
    text = browser.get(PATH).content.decode()
    assert '<a href="/models?provider=shops">The Shop</a>' in text
    assert '<a href="/acme/one">acme/one</a>' in text
    assert f'one-fp8 <span class="tiny faint">endpoint {place.pk}</span>' in text
    assert '<th scope="row" class="breakable">acme/gone</th>' in text
