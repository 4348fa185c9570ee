"""Connect in the fake Stripe: recipients, the pages on which they sign up, transfers and what becomes of them."""

from __future__ import annotations

import time
from typing import Any

from tests.fakes.stripe.objects import Objects
from tests.fakes.stripe.refused import Refused

ACTIVE, RESTRICTED = "active", "restricted"
COUNTRIES = frozenset({"us", "kr", "de"})


class Connect(Objects):
    """The part of the world that money goes out to."""

    pending_cents = 0  # of the balance, what is not available yet

    # -- what the API does

    def create_account(self, given: dict[str, Any]) -> dict[str, Any]:
        country = given["identity"]["country"]
        if country not in COUNTRIES:
            message = f"Accounts in {country.upper()} cannot be paid."
            raise Refused(400, "invalid_request_error", message, code="country_unsupported")
        wanted = given["configuration"]["recipient"]["capabilities"]["stripe_balance"]["stripe_transfers"]
        if wanted["requested"] != "true" or given["defaults"]["responsibilities"]["losses_collector"] != "application":
            raise Refused(400, "invalid_request_error", "Transfers from the platform's balance need both.")
        made = self._new(
            "acct",
            "v2.core.account",
            contact_email=given.get("contact_email"),
            display_name=given.get("display_name"),
            metadata=given.get("metadata", {}),
            identity={"country": country},
        )
        self._stand(made, RESTRICTED, "external_account")
        self._tell_thinly("v2.core.account.created", made)
        return made

    def create_account_link(self, given: dict[str, Any]) -> dict[str, Any]:
        account = self._there(given["account"], "v2.core.account")
        case = given["use_case"]["type"]
        return {
            "object": "v2.core.account_link",
            "account": account["id"],
            "created": _now(),
            "expires_at": _now(300),
            "livemode": False,
            "url": f"https://connect.stripe.com/setup/{account['id']}",
            "use_case": {"type": case, case: given["use_case"][case]},
        }

    def account(self, account_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """With the parts that are asked for, and no others, as v2 has it."""
        found = dict(self._there(account_id, "v2.core.account"))
        asked = given.get("include", [])
        if "configuration.recipient" not in asked:
            found["configuration"] = None
        if "requirements" not in asked:
            found["requirements"] = None
        return found

    def create_transfer(self, given: dict[str, Any]) -> dict[str, Any]:
        account = self._there(given["destination"], "v2.core.account")
        amount = int(given["amount"])
        if account["_status"] != ACTIVE:
            message = "Your destination account needs to have at least one of the following capabilities: transfers."
            raise Refused(400, "invalid_request_error", message, code="insufficient_capabilities_for_transfer")
        if amount > self.available_cents():
            message = "You have insufficient available funds in your Stripe account."
            raise Refused(400, "invalid_request_error", message, code="balance_insufficient")
        made = self._new(
            "tr",
            "transfer",
            amount=amount,
            amount_reversed=0,
            currency=given["currency"],
            destination=account["id"],
            transfer_group=given.get("transfer_group"),
            metadata=given.get("metadata", {}),
            reversed=False,
        )
        made["reversals"] = self.reversals(made["id"], {})
        made["balance_transaction"] = self._line("transfer", -amount, 0, made["id"])["id"]
        self._tell("transfer.created", made)
        return made

    def reversals(self, transfer_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Newest first; a transfer carries the first page."""
        rows = [one for one in self.objects.values() if one.get("transfer") == transfer_id][::-1]
        if after := given.get("starting_after"):
            rows = rows[[one["id"] for one in rows].index(after) + 1 :]
        limit = int(given.get("limit", 10))
        url = f"/v1/transfers/{transfer_id}/reversals"
        return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": url}

    def balance(self) -> dict[str, Any]:
        parts = {"available": self.available_cents(), "pending": self.pending_cents}
        told = {name: [{"amount": cents, "currency": "usd", "source_types": {}}] for name, cents in parts.items()}
        return {"object": "balance", "livemode": False, **told}

    # -- what people and banks do

    def available_cents(self) -> int:
        """What can be transferred now."""
        return self.balance_cents() - self.pending_cents

    def deposit(self, cents: int) -> None:
        """The platform puts money of its own into its balance."""
        with self.lock:
            self._line("topup", cents, 0, "tu_1")

    def withdraw(self, cents: int, *, fee: int = 0) -> None:
        """The platform sends a part of its balance to its own bank."""
        with self.lock:
            made = self._new("po", "payout", amount=cents, status="paid", failure_message=None)
            self._line("payout", -cents, fee, made["id"])
            self._tell("payout.paid", made)

    def onboard(self, account_id: str) -> None:
        """The recipient fills in Stripe's page, and Stripe is content."""
        self._change(account_id, ACTIVE, "")

    def restrict(self, account_id: str, needs: str) -> None:
        """Stripe wants to know more first."""
        self._change(account_id, RESTRICTED, needs)

    def reverse(self, transfer_id: str, cents: int) -> str:
        """Staff take a transfer back in the dashboard, or a part of it; the reversal's id."""
        with self.lock:
            made = self.objects[transfer_id]
            back = self._new("trr", "transfer_reversal", amount=cents, transfer=transfer_id)
            made["reversals"] = self.reversals(transfer_id, {})
            made["amount_reversed"] += cents
            made["reversed"] = made["amount_reversed"] == made["amount"]
            self._line("transfer_refund", cents, 0, back["id"])
            self._tell("transfer.reversed", made)
            return str(back["id"])

    def send_to_bank(self, account_id: str, *, fails: str = "") -> str:
        """Stripe sends the recipient's balance to its bank, which takes it or says why not."""
        with self.lock:
            status = "failed" if fails else "paid"
            made = self._new("po", "payout", amount=1, status=status, failure_message=fails or None)
            self._tell(f"payout.{status}", made, account=account_id)
            return str(made["id"])

    def transfers(self) -> list[dict[str, Any]]:
        """All that were made, oldest first."""
        with self.lock:
            return [one for one in self.objects.values() if one["object"] == "transfer"]

    # -- inside

    def _change(self, account_id: str, status: str, needs: str) -> None:
        with self.lock:
            self._stand(self.objects[account_id], status, needs)
            part = "[configuration.recipient].capability_status_updated"
            self._tell_thinly(f"v2.core.account{part}", self.objects[account_id])

    def _stand(self, account: dict[str, Any], status: str, needs: str) -> None:
        transfers = {"status": status, "status_details": []}
        entry = {"description": needs, "minimum_deadline": {"status": "currently_due"}}
        later = {"description": "identity.later", "minimum_deadline": {"status": "eventually_due"}}
        account["_status"] = status
        account["configuration"] = {
            "recipient": {"applied": True, "capabilities": {"stripe_balance": {"stripe_transfers": transfers}}}
        }
        account["requirements"] = {"entries": [entry, later] if needs else [later]}


def _now(later: int = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + later))
