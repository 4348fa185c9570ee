"""What the floor does by the clock: label -> (task, seconds)."""

BEAT: dict[str, tuple[str, float]] = {"marketplace-tell-prices": ("marketplace.tell_prices", 60.0)}
