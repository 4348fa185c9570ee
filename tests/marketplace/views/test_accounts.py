"""Sign-up, log-in, log-out and a forgotten password, through our own templates."""

from __future__ import annotations

import re

import pytest
from django.core import mail
from django.test import Client

from marketplace.models import Account, Member
from tests.factories.marketplace import PASSWORD, account

pytestmark = pytest.mark.django_db
NEW = {"email": "zoe@example.com", "password1": "a-Long-one-9", "password2": "a-Long-one-9"}


def test_sign_up_opens_a_personal_account_and_logs_in(client: Client) -> None:
    response = client.post("/accounts/signup/", NEW)
    assert response.status_code == 302
    assert response.headers["Location"] == "/models"
    owned = Member.objects.get(user__email="zoe@example.com")
    assert (owned.role, owned.account.kind, owned.account.slug) == ("owner", Account.Kind.PERSONAL, "zoe")
    assert client.get("/keys").status_code == 200


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password2": "another-One-9"}, "same password"),
        ({"password1": "123", "password2": "123"}, "too short"),
        ({"email": "no address"}, "valid email"),
    ],
)
def test_sign_up_says_what_is_wrong(client: Client, wrong: dict[str, str], said: str) -> None:
    page = client.post("/accounts/signup/", NEW | wrong).content.decode()
    assert "field-error" in page
    assert said in page
    assert not Account.objects.exists()


def test_help_texts_of_passwords_are_a_list_and_not_markup_as_text(client: Client) -> None:
    page = client.get("/accounts/signup/").content.decode()
    assert "<li>Your password" in page
    assert "&lt;" not in page


def test_a_wrong_password_is_refused_without_telling_who_exists(client: Client) -> None:
    account(email="alice@example.com")
    told = []
    for email in ("alice@example.com", "nobody@example.com"):
        page = client.post("/accounts/login/", {"login": email, "password": "wrong"}).content.decode()
        found = re.search(r'<ul class="errors"[^>]*>(.*?)</ul>', page, re.DOTALL)
        assert found
        told.append(found[1])
    assert told[0] == told[1]


def test_log_in_leads_back_to_the_page_asked_for(client: Client) -> None:
    account(email="alice@example.com")
    asked = client.get("/usage").headers["Location"]
    response = client.post(asked, {"login": "Alice@example.com", "password": PASSWORD})
    assert response.headers["Location"] == "/usage"


def test_log_out_wants_a_post(alice: Client) -> None:
    alice.get("/accounts/logout/")
    assert alice.get("/keys").status_code == 200
    alice.post("/accounts/logout/")
    assert alice.get("/keys").status_code == 302


def test_a_forgotten_password_is_set_anew_by_the_letter(client: Client) -> None:
    account(email="alice@example.com")
    sent = client.post("/accounts/password/reset/", {"email": "alice@example.com"}, follow=True).content.decode()
    assert 'href="/accounts/password/reset/"' in sent  # another try, rather than somebody to contact
    link = re.search(r"http://testserver(/\S+)", str(mail.outbox[0].body))
    assert link
    page = client.get(link[1], follow=True)
    assert page.status_code == 200
    form = page.redirect_chain[-1][0]
    client.post(form, {"password1": "fresh-Secret-8", "password2": "fresh-Secret-8"})
    response = client.post("/accounts/login/", {"login": "alice@example.com", "password": "fresh-Secret-8"})
    assert response.status_code == 302


def test_a_form_without_its_token_is_explained(client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    response = strict.post("/accounts/login/", {"login": "a@example.com", "password": "x"})
    assert response.status_code == 403
    assert "Please send it again" in response.content.decode()
