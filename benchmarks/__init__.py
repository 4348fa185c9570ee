"""Programs that measure; tests do not time. `make bench-ledger`, `make bench-gateway`."""
