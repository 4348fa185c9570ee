"""What billing does by the clock: label -> (task, seconds)."""

BEAT: dict[str, tuple[str, float]] = {"billing-invariants": ("billing.check_invariants", 900.0)}
