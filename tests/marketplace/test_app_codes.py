"""Keys for apps: consent, exchange, and everything that an eavesdropper might try."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from marketplace.lib.errors import AppError, Unauthorized
from marketplace.models import Account, ApiKey, AppCode
from marketplace.services import app_codes, keys
from tests.cast import act_for, alice, bob, charlie, shop
from tests.factories.marketplace import account

__all__ = ("alice", "bob", "charlie", "shop")

pytestmark = pytest.mark.django_db
BACK = "https://app.example.com/done?state=abc"
VERIFIER = "v" * 43
S256 = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {"callback_url": BACK, "code_challenge": S256, "code_challenge_method": "S256"}


def consent(client: Client, **given: str) -> str:
    """Agree on the page; the code that the app is sent."""
    answer = client.post("/auth", {**ASKED, "name": "My app", "allow": "1", **given})
    assert answer.status_code == 302, answer.content
    place = urlsplit(answer.headers["Location"])
    assert f"{place.scheme}://{place.netloc}{place.path}" == "https://app.example.com/done"
    query = parse_qs(place.query)
    assert query["state"] == ["abc"]
    return query["code"][0]


def exchange(code: str, **given: Any) -> tuple[int, dict[str, Any]]:
    body = {"code": code, "code_verifier": VERIFIER, "code_challenge_method": "S256", **given}
    answer = Client().post("/api/v1/auth/keys", json.dumps(body), content_type="application/json")
    found: dict[str, Any] = answer.json()
    return answer.status_code, found


def test_the_whole_way(alice: Client) -> None:
    page = alice.get("/auth", {**ASKED, "limit": "5", "usage_limit_type": "weekly"})
    text = page.content.decode()
    assert "app.example.com asks for a key" in text
    assert 'value="5"' in text
    assert "form-action 'self' https://app.example.com" in page.headers["Content-Security-Policy"]
    code = consent(alice, limit="0.5", limit_reset="daily")
    status, made = exchange(code)
    assert status == 200
    row = ApiKey.objects.get()
    assert keys.authenticate(made["key"]).key_id == row.pk
    assert (row.name, row.limit_nano, row.limit_reset, row.scopes) == ("My app", 500_000_000, "daily", ["inference"])
    assert made["user_id"] == str(row.created_by_id)
    assert code not in str(AppCode.objects.values().get())


def test_a_code_that_comes_again_is_refused_and_ends_its_key(alice: Client) -> None:
    code = consent(alice)
    _, made = exchange(code)
    keys.authenticate(made["key"])
    status, said = exchange(code)
    assert (status, said["error"]["code"]) == (403, 403)
    with pytest.raises(Unauthorized):
        keys.authenticate(made["key"])
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"code_verifier": S256, "code_challenge_method": "plain"},
        {"code_challenge_method": "plain"},
        {"code_verifier": "é" * 43},
    ],
)
def test_a_wrong_verifier_opens_nothing_and_spoils_nothing(alice: Client, wrong: dict[str, str]) -> None:
    code = consent(alice)
    assert exchange(code, **wrong)[0] == 403
    assert not ApiKey.objects.exists()
    assert exchange(code)[0] == 200


def test_plain_challenges_and_none(alice: Client) -> None:
    code = consent(alice, code_challenge=VERIFIER, code_challenge_method="plain")
    assert exchange(code, code_challenge_method="plain")[0] == 200
    code = consent(alice, code_challenge="", code_challenge_method="")
    assert exchange(code, code_verifier="", code_challenge_method=None)[0] == 200


def test_a_code_ends_after_ten_minutes(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    code = consent(alice)
    later = timezone.now() + dt.timedelta(minutes=10, seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert exchange(code)[0] == 403
    assert not ApiKey.objects.exists()


def test_unknown_codes_and_methods(alice: Client) -> None:
    assert exchange("nonsense")[0] == 403
    assert exchange(consent(alice), code_challenge_method="S512")[0] == 400
    assert Client().get("/api/v1/auth/keys").status_code == 405


def test_without_a_callback_the_code_is_shown(alice: Client) -> None:
    answer = alice.post("/auth", {**ASKED, "callback_url": "", "name": "cli", "allow": "1"})
    text = answer.content.decode()
    assert "Your code" in text
    code = text.partition('id="app-code" readonly value="')[2].partition('"')[0]
    assert exchange(code)[0] == 200


def test_no_is_told_to_the_app(alice: Client) -> None:
    answer = alice.post("/auth", {**ASKED, "deny": "1"})
    assert answer.headers["Location"] == BACK + "&error=access_denied"
    assert not AppCode.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/", "javascript:alert(1)", "//app.example.com", "https://", "https://u:p@example.com/",
        "https://example.com/#fragment", "https://exa mple.com", "https://example.com\\@evil.com", "app://open",
        "https://example.com:99999/", "data:text/html,x",
    ],
)  # fmt: skip
def test_addresses_that_nobody_should_be_sent_to(alice: Client, url: str) -> None:
    assert alice.get("/auth", {**ASKED, "callback_url": url}).status_code == 400
    assert alice.post("/auth", {**ASKED, "callback_url": url, "name": "x", "allow": "1"}).status_code == 400
    assert not AppCode.objects.exists()


@pytest.mark.parametrize("url", ["http://localhost:3000/cb", "http://127.0.0.1:1/cb", "http://[::1]:8080/"])
def test_programs_on_ones_own_computer_may_listen_by_http(alice: Client, url: str) -> None:
    assert alice.get("/auth", {**ASKED, "callback_url": url}).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"code_challenge": "short"}, {"code_challenge_method": "S512"}, {"callback_url": "", "code_challenge": ""}],
)
def test_challenges_that_prove_nothing_are_refused(alice: Client, wrong: dict[str, str]) -> None:
    assert alice.get("/auth", {**ASKED, **wrong}).status_code == 400


def test_only_who_may_make_keys_consents(alice: Client, bob: Client, shop: Account) -> None:
    act_for(bob, "shop")
    assert bob.get("/auth", ASKED).status_code == 403
    assert bob.post("/auth", {**ASKED, "name": "x", "allow": "1"}).status_code == 403
    assert Client().get("/auth", ASKED).status_code == 302


def test_a_page_elsewhere_cannot_consent(alice: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = alice.cookies
    assert strict.post("/auth", {**ASKED, "name": "x", "allow": "1"}).status_code == 403
    assert not AppCode.objects.exists()


def test_a_management_key_makes_codes_without_the_page() -> None:
    owner = account()
    _, manager = keys.issue(account=owner, name="manager", scopes=["management"])
    _, worker = keys.issue(account=owner, name="worker")
    body = json.dumps(ASKED | {"key_label": "bot", "limit": 2, "usage_limit_type": "monthly"})

    def ask(key: str) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return Client().post("/api/v1/auth/keys/code", body, content_type="application/json", headers=headers)

    assert ask(worker).status_code == 403  # a key with a limit must not make one without
    made = ask(manager).json()["data"]
    assert exchange(made["id"])[0] == 200
    row = ApiKey.objects.get(name="bot")
    assert (row.limit_nano, row.limit_reset) == (2_000_000_000, "monthly")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_exchanges_at_once_one_succeeds() -> None:
    wish = app_codes.wish(callback_url=BACK, challenge=S256, method="S256")
    _, code = app_codes.issue(account=account(), user=None, wish=wish)

    def one(_: int) -> bool:
        try:
            app_codes.exchange(code=code, verifier=VERIFIER, method="S256")
        except AppError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(16))) == 1
    assert ApiKey.objects.count() == 1
