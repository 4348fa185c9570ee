"""Staff's pages of billing."""

from billing.admin import invoices, payouts, wallets

__all__ = ["invoices", "payouts", "wallets"]
