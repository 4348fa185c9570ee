"""Money's tables: the books, what is derived from them, and the payments that come in."""

from billing.models.derived import Balance, Cursor, UsageHour
from billing.models.ledger import Allowance, Budget, Charge, Entry, Hold, LedgerAccount, Transaction, Wallet

__all__ = [
    "Allowance",
    "Balance",
    "Budget",
    "Charge",
    "Cursor",
    "Entry",
    "Hold",
    "LedgerAccount",
    "Transaction",
    "UsageHour",
    "Wallet",
]
