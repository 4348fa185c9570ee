"""Wallets, holds, the ledger and what things cost. Knows no chat and no prediction."""
