"""Connect: the accounts of those whom we pay, and the transfers to them. Amounts are cents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import stripe

from billing.gateways.stripe import transport

# Events whose object is an account of API v2; the dots and brackets after it say which part changed.
# Thin events that tell how a recipient stands.
ACCOUNT_EVENTS: Final = (
    "v2.core.account.created",
    "v2.core.account.updated",
    "v2.core.account.closed",
    "v2.core.account[configuration.recipient].updated",
    "v2.core.account[configuration.recipient].capability_status_updated",
    "v2.core.account[requirements].updated",
    "v2.core.account[future_requirements].updated",
)
_PARTS: Final[list[Any]] = ["configuration.recipient", "requirements"]
_EXPANDED: Final = ["reversals"]


@dataclass(frozen=True, slots=True)
class Connected:
    """A recipient at Stripe: whether transfers reach it, and what Stripe waits for."""

    id: str
    is_active: bool
    needs: str


@dataclass(frozen=True, slots=True)
class Transferred:
    """A transfer at Stripe; `reversals` are (id, cents) of what was taken back, oldest first. No id: never made."""

    id: str
    amount_cents: int
    our_id: str
    reversals: tuple[tuple[str, int], ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class BankPayout:
    """What Stripe sends on to a recipient's bank."""

    is_failed: bool
    message: str


def recipient(*, account_id: int, name: str, email: str, country: str) -> str:
    """Make the account's recipient; its id. Raises Rejected for a country that Stripe does not pay to."""
    params: Any = {
        "contact_email": email,
        "display_name": name,
        "dashboard": "express",
        "identity": {"country": country.lower()},
        "configuration": {
            "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}},
        },
        # The platform sells, so it bears fees and losses; recipients only receive.
        "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
        "metadata": {"account": str(account_id)},
    }
    key = f"recipient:{account_id}:{country}"
    return transport.call(lambda: transport.client().v2.core.accounts.create(params, {"idempotency_key": key})).id


def link(*, recipient_id: str, is_new: bool, return_url: str, refresh_url: str) -> str:
    """A page of Stripe's, opened once, on which the recipient says who it is and where its bank is."""
    case = "account_onboarding" if is_new else "account_update"
    pages = {"return_url": return_url, "refresh_url": refresh_url}
    params: Any = {"account": recipient_id, "use_case": {"type": case, case: pages}}
    return transport.call(lambda: transport.client().v2.core.account_links.create(params)).url


def connected(recipient_id: str) -> Connected:
    """A recipient as it stands."""
    found = transport.call(
        lambda: transport.client().v2.core.accounts.retrieve(recipient_id, {"include": _PARTS})
    ).to_dict()
    capabilities = ((found.get("configuration") or {}).get("recipient") or {}).get("capabilities") or {}
    transfers = (capabilities.get("stripe_balance") or {}).get("stripe_transfers") or {}
    entries = (found.get("requirements") or {}).get("entries") or []
    due = [one for one in entries if (one.get("minimum_deadline") or {}).get("status") != "eventually_due"]
    needs = ", ".join(str(one.get("description", "")) for one in due)
    return Connected(str(found["id"]), transfers.get("status") == "active", needs)


def transfer(*, payout_id: str, recipient_id: str, amount_cents: int) -> Transferred:
    """Send earnings, once per `payout_id` of ours.

    Raises Unreachable when it is not known whether they were sent, transport.Rejected when they were not.
    """
    params: Any = {
        "amount": amount_cents,
        "currency": transport.CURRENCY,
        "destination": recipient_id,
        "transfer_group": payout_id,
        "metadata": {"payout": payout_id},
        "expand": _EXPANDED,
    }
    key = f"payout:{payout_id}"
    return transport.call(
        lambda: _transferred(transport.client().v1.transfers.create(params, {"idempotency_key": key}))
    )


def transfer_of(*, payout_id: str) -> Transferred | None:
    """The transfer made for a payout, when only its creation's answer was lost."""
    params: Any = {"transfer_group": payout_id, "limit": 1, "expand": ["data.reversals"]}
    found = transport.call(lambda: [_transferred(one) for one in transport.client().v1.transfers.list(params).data])
    return found[0] if found else None


def transferred(transfer_id: str) -> Transferred:
    """A transfer as it stands."""
    return transport.call(
        lambda: _transferred(transport.client().v1.transfers.retrieve(transfer_id, {"expand": _EXPANDED}))
    )


def transfers(*, since: int) -> Iterator[Transferred]:
    """All transfers since a moment (Unix seconds)."""
    params: Any = {"created": {"gte": since}, "limit": 100, "expand": ["data.reversals"]}
    first = transport.call(lambda: transport.client().v1.transfers.list(params))
    for one in first.auto_paging_iter():
        yield _transferred(one)


def bank_payout(*, bank_payout_id: str, recipient_id: str) -> BankPayout:
    """What Stripe sent from a recipient's balance to its bank, as it stands."""
    options: Any = {"stripe_account": recipient_id}
    found = transport.call(lambda: transport.client().v1.payouts.retrieve(bank_payout_id, {}, options))
    return BankPayout(found.status in {"failed", "canceled"}, found.failure_message or "")


def available_cents() -> int:
    """What of the platform's balance at Stripe can be transferred now."""
    found = transport.call(lambda: transport.client().v1.balance.retrieve())
    return sum(one.amount for one in found.available if one.currency == transport.CURRENCY)


def _transferred(found: stripe.Transfer) -> Transferred:
    # A transfer carries the latest ten; the others are asked for.
    reversals = sorted(found.reversals.auto_paging_iter(), key=lambda one: (one.created, one.id))
    return Transferred(
        id=found.id,
        amount_cents=found.amount,
        our_id=transport.metadata_of(found.metadata, "payout"),
        reversals=tuple((transport.id_of(one), one.amount) for one in reversals),
    )
