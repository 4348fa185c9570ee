"""Money for tests: always through the services, so that the books are right."""

from __future__ import annotations

from billing.services import credits
from marketplace.lib import ids, money
from marketplace.models import Account


def fund(account: Account, dollars: str) -> None:
    """Give promotional credit."""
    credits.grant(account_id=account.pk, amount_nano=money.parse_usd(dollars), reference=f"test:{ids.uuid7()}")
