"""What routing does by the clock: label -> (task, seconds)."""

BEAT: dict[str, tuple[str, float]] = {"routing-sweep": ("routing.sweep", 5.0)}
