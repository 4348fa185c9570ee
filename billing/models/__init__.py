"""Money's tables: the books, what is derived from them, and the payments that come in and go out."""

from billing.models.alerts import Alert, AlertRule, Delivery
from billing.models.derived import Balance, Cursor, DaybookLine, UsageHour
from billing.models.ledger import Allowance, Budget, Charge, Entry, Hold, LedgerAccount, Transaction, Wallet
from billing.models.metered import Invoice, Meter, MeterRow, Subscription, Terms, WriteOff
from billing.models.payments import AutoTopUp, Customer, Dispute, Grant, InboxEvent, Refund, Thaw, TopUp
from billing.models.payouts import PaidInvoice, Payout, Recipient

__all__ = [
    "Alert",
    "AlertRule",
    "Allowance",
    "AutoTopUp",
    "Balance",
    "Budget",
    "Charge",
    "Cursor",
    "Customer",
    "DaybookLine",
    "Delivery",
    "Dispute",
    "Entry",
    "Grant",
    "Hold",
    "InboxEvent",
    "Invoice",
    "LedgerAccount",
    "Meter",
    "MeterRow",
    "PaidInvoice",
    "Payout",
    "Recipient",
    "Refund",
    "Subscription",
    "Terms",
    "Thaw",
    "TopUp",
    "Transaction",
    "UsageHour",
    "Wallet",
    "WriteOff",
]
