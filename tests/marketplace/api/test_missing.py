"""Addresses that are not there, in the form of whoever asks."""

from __future__ import annotations

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/keys/", "/api/nothing"])
def test_under_the_api_it_is_the_common_envelope(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["metadata"]["error_type"] == "not_found"
    assert "/api/docs" in answer.json()["error"]["message"]


def test_under_the_hosting_api_it_is_a_problem() -> None:
    answer = Client().get("/v1/nothing")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "path",
    [
        "/chat/completions", "/api/chat/completions", "/api/v1/v1/chat/completions", "/api/v1//chat/completions",
        "/api/v1/chat/completions/",
    ],
)  # fmt: skip
def test_a_wrong_base_url_is_told_the_right_address(path: str) -> None:
    answer = Client(headers={"authorization": "Bearer x"}).post(path, {}, content_type="application/json")
    assert answer.status_code == 404
    assert "Did you mean /api/v1/chat/completions?" in answer.json()["error"]["message"]


def test_elsewhere_it_is_a_page() -> None:
    answer = Client().get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_wrong_method_is_told_the_right_one() -> None:
    answer = Client().get("/api/v1/chat/completions")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert answer.json()["error"]["message"] == "Method GET is not allowed here: use POST."


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_what_the_database_cannot_look_for_is_a_400() -> None:
    answer = Client().get("/api/v1/model/acme/small%00")
    assert answer.status_code == 400
    assert "NUL" in answer.json()["error"]["message"]
