"""What holds for every page: it renders, asks for log-in where it must, and obeys the content policy."""

from __future__ import annotations

import re

import pytest
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.views.defaults import server_error

from marketplace.models import Account, User
from marketplace.names import RESERVED
from tests.factories.marketplace import EndpointFactory, ModelFactory

pytestmark = pytest.mark.django_db

PUBLIC = ["/", "/docs", "/models", "/providers", "/chat", "/acme/one", "/accounts/login/", "/accounts/signup/"]
PUBLIC += ["/accounts/password/reset/", "/nobody/nothing"]
OWN = ["/keys", "/keys/create", "/usage", "/credits", "/settings", "/organisations", "/organisations/create"]
OWN += ["/organisations/shop/", "/accounts/email/", "/accounts/password/change/", "/accounts/logout/"]


@pytest.fixture(autouse=True)
def one_model() -> None:
    EndpointFactory(model=ModelFactory(slug="one"))


@pytest.mark.parametrize("path", OWN)
def test_pages_of_an_account_send_strangers_to_log_in(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert "/accounts/login/" in response.headers["Location"] or response.headers["Location"] == "/"


@pytest.mark.parametrize("path", PUBLIC + OWN)
def test_pages_have_no_inline_script_style_or_handler(alice: Client, client: Client, shop: Account, path: str) -> None:
    browser = alice if path in OWN else client
    response = browser.get(path)
    assert response.status_code in {200, 404}
    page = response.content.decode()
    assert not re.search(r"<script(?![^>]*(src=|type=\"application/json\"))", page)
    assert "<style" not in page
    assert not re.search(r"\s(style|on[a-z]+)=[\"']", page)
    assert "'self'" in response.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PUBLIC + OWN)
def test_pages_have_one_heading_a_skip_link_and_labels(alice: Client, client: Client, shop: Account, path: str) -> None:
    page = (alice if path in OWN else client).get(path).content.decode()
    assert page.count("<h1") == 1
    assert 'href="#main"' in page
    labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
    for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", page):
        named = re.search(r'\bid="([^"]+)"', tag)
        if 'type="hidden"' in tag or 'type="checkbox"' in tag or 'type="radio"' in tag:
            continue  # the label of a box is around it
        assert named, tag
        assert named[1] in labelled, tag


def test_errors_belong_to_their_fields(alice: Client) -> None:
    page = alice.post("/keys/create", {"name": "", "limit": "-4"}).content.decode()
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    assert {"id_name_error", "id_limit_error"} <= ids
    for named in re.findall(r'aria-describedby="([^"]+)"', page):
        assert set(named.split()) <= ids


def test_staff_who_may_not_are_told_so_on_a_page(alice: Client) -> None:
    User.objects.filter(email="alice@example.com").update(is_staff=True)
    answer = alice.get("/staff/marketplace/collection/")
    assert answer.status_code == 403
    assert "<h1>Not allowed</h1>" in answer.content.decode()


def test_the_page_for_faults_needs_nothing_but_files(rf: RequestFactory) -> None:
    page = server_error(rf.get("/")).content.decode()
    assert "<h1>Something broke on our side</h1>" in page
    assert 'href="/static/' in page


def test_nothing_but_the_floor_is_called_what_a_page_is_called() -> None:
    paths: list[URLPattern | URLResolver] = []
    for one in get_resolver().url_patterns:
        paths += one.url_patterns if isinstance(one, URLResolver) and not str(one.pattern) else [one]
    first = {str(one.pattern).strip("^").split("/")[0] for one in paths}
    words = {word for word in first if re.fullmatch(r"[a-z0-9-]+", word)}
    assert "models" in words
    assert words <= RESERVED
