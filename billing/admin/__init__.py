"""Staff's pages of billing."""

from billing.admin import invoices, metering, payouts, wallets

__all__ = ["invoices", "metering", "payouts", "wallets"]
