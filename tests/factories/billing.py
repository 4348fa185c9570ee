"""Money for tests: always through the services, so that the books are right."""

from __future__ import annotations

import datetime as dt
from typing import Any

from billing.models import Charge
from billing.rating import Part, rate
from billing.services import credits, holds
from marketplace.lib import ids, money
from marketplace.models import Account


def fund(account: Account, dollars: str) -> None:
    """Give promotional credit."""
    credits.grant(account_id=account.pk, amount_nano=money.parse_usd(dollars), reference=f"test:{ids.uuid7()}")


def sell(
    payer: Account, dollars: str, *, to: Account, side: str = "provider_payable", bps: int = 9_500, **labels: Any
) -> Charge:
    """Charge the payer so much for one request, of which `bps` are the other account's."""
    rated = rate({"request": money.parse_usd(dollars) * 1_000_000}, {"request": 1})
    reference = str(ids.uuid7())
    hold = holds.place(
        account_id=payer.pk, key_id=None, amount_nano=rated.amount_nano, kind="chat", reference=reference,
        expires_in=dt.timedelta(hours=1),
    )  # fmt: skip
    made = holds.settle(hold_id=hold.pk, rated=rated, parts=[Part(side, to.pk, bps=bps)], labels=labels)
    assert made is not None
    return made
