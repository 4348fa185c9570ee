"""What the hosting journeys share: customers with credit, a published model, predictions over HTTP."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.servers.system import System, wait_until

_OPEN = """
from billing.services import credits
from marketplace.models import Account, User
from marketplace.services import accounts, keys
user = User.objects.filter(email={email!r}).first() or User.objects.create_user({email!r}, {password!r})
account = accounts.open_personal(user=user)
if {nano}:
    credits.grant(account_id=account.pk, amount_nano={nano}, reference={email!r}, memo="test")
result = [account.pk, account.slug, keys.issue(account=account, name="test")[1]]
"""
_BOOKS = """
from billing.models import Charge, Hold, Wallet
from execution.models import Prediction
rows = Prediction.objects.filter(account_id={account_id}).order_by("created_at")
wallet = Wallet.objects.get(account_id={account_id})
shares = dict(Charge.objects.filter(account_id={account_id}).values_list("reference", "shares"))
result = {{
    "predictions": list(rows.values("id", "status", "attempts", "run_ms", "amount_nano", "error")),
    "charges": list(Charge.objects.filter(account_id={account_id}).values_list("reference", "amount_nano")),
    "shares": [shares.get(str(one), []) for one in rows.values_list("id", flat=True)],
    "open_holds": Hold.objects.filter(wallet=wallet, state="open").count(),
    "balance": wallet.balance_nano, "held": wallet.held_nano,
}}
"""
PASSWORD = "a-long-secret-9"


@dataclass(frozen=True, slots=True)
class Customer:
    """An account on a system under test, with a key."""

    system: System
    account_id: int
    email: str
    slug: str
    key: str

    def client(self, *, timeout: float = 70) -> httpx.Client:
        """HTTP with the key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.system.base_url, headers=headers, timeout=timeout)

    def predict(self, version: str, *, wait: int = 0, **given: Any) -> dict[str, Any]:
        """POST /v1/predictions."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        with self.client() as client:
            answer = client.post("/v1/predictions", json={"version": version, "input": given}, headers=headers)
        assert answer.status_code in (201, 202), answer.text
        return dict(answer.json())

    def get(self, prediction_id: str) -> dict[str, Any]:
        """GET /v1/predictions/…"""
        with self.client() as client:
            answer = client.get(f"/v1/predictions/{prediction_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(self, prediction_id: str, *statuses: str, within: float = 30) -> dict[str, Any]:
        """The prediction once it has one of the statuses (succeeded, failed or canceled unless said)."""
        wanted = statuses or ("succeeded", "failed", "canceled")
        seen: list[dict[str, Any]] = []

        def there() -> bool:
            seen.append(self.get(prediction_id))
            return seen[-1]["status"] in wanted

        wait_until(there, within=within, what=f"{prediction_id} is {' or '.join(wanted)}")
        return seen[-1]

    def books(self) -> dict[str, Any]:
        """The account's predictions, charges and wallet, from the database."""
        return dict(self.system.query(_BOOKS.format(account_id=self.account_id)))


def customer(system: System, *, dollars: int = 5, name: str = "payer") -> Customer:
    """A new account with credit and a key."""
    email = f"{name}-{uuid.uuid4().hex[:8]}@example.com"
    code = _OPEN.format(email=email, password=PASSWORD, nano=dollars * 1_000_000_000)
    account_id, slug, key = system.query(code)
    return Customer(system=system, account_id=account_id, email=email, slug=slug, key=key)


def published(system: System, example: str) -> str:
    """The example as owner/name:version, published once for each system under test."""
    marker = system.var / f"published-{example}"
    if not marker.exists():
        code = _OPEN.format(email="maker@example.com", password=PASSWORD, nano=0)
        _, slug, _ = system.query(code)
        printed = system.manage("publish", f"examples/{example}", "--account", slug, "--name", example, within=300)
        marker.write_text(printed.strip().splitlines()[-1])
    return marker.read_text()


def assert_each_ended_and_was_charged_once(of: Customer) -> None:
    """No prediction is left open, no hold either, and there is one charge for each that cost something."""
    books = of.books()
    assert {row["status"] for row in books["predictions"]} <= {"succeeded", "failed", "canceled"}
    paid = {row["id"]: row["amount_nano"] for row in books["predictions"] if row["amount_nano"]}
    assert sorted(books["charges"]) == sorted([reference, amount] for reference, amount in paid.items())
    assert (books["open_holds"], books["held"]) == (0, 0)
