"""The way of a newcomer from the landing page to a key and to the documentation."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from marketplace.models import User
from tests.factories.marketplace import EndpointFactory, HardwareFactory, ModelFactory

pytestmark = pytest.mark.django_db


def links(page: str) -> set[str]:
    return set(re.findall(r'href="([^"]+)"', page))


def test_get_a_key_leads_through_sign_up_to_the_form_of_a_key(client: Client) -> None:
    (sign_up,) = [one for one in links(client.get("/").content.decode()) if one.startswith("/accounts/signup/?")]
    form = client.get(sign_up).content.decode()
    (onward,) = re.findall(r'name="next" value="([^"]+)"', form)
    answer = client.post(
        "/accounts/signup/",
        {"email": "n@example.com", "password1": "a-Long-one-9", "password2": "a-Long-one-9", "next": onward},
    )
    assert User.objects.filter(email="n@example.com").exists()
    assert answer.headers["Location"] == "/keys/create"


def test_every_page_leads_to_the_docs_and_they_to_the_reference_and_back(client: Client) -> None:
    assert {"/docs", "/api/docs"} <= links(client.get("/models").content.decode())
    assert {"/api/docs", "/api/openapi.json"} <= links(client.get("/docs").content.decode())
    begin = client.get("/api/openapi.json").json()["info"]["description"]
    for path in re.findall(r"\]\((/[^)]+)\)", begin):
        assert client.get(path).status_code in {200, 302}


def test_the_quick_start_names_base_urls_and_a_model_that_is_there(client: Client) -> None:
    EndpointFactory(model=ModelFactory(slug="routed"))
    EndpointFactory(model=ModelFactory(slug="hosted", hardware=HardwareFactory()))  # newer, and known to nobody
    page = client.get("/docs").content.decode()
    for url in ("http://testserver/api/v1<", "http://testserver/api<", "http://testserver<", "http://testserver/v1<"):
        assert url in page
    assert "acme/routed" in page
    assert "acme/hosted" not in page
