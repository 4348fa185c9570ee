"""What billing does by the clock: label -> (task, seconds)."""

BEAT: dict[str, tuple[str, float]] = {
    "billing-invariants": ("billing.check_invariants", 900.0),
    "billing-balances": ("billing.advance_balances", 10.0),
    "billing-hours": ("billing.close_hours", 300.0),
}
