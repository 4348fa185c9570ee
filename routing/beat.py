"""What routing does by the clock: label -> (task, seconds)."""

BEAT: dict[str, tuple[str, float]] = {
    "routing-sweep": ("routing.sweep", 5.0),
    "routing-fetch-listings": ("routing.fetch_listings", 30.0),
    "routing-probe-endpoints": ("routing.probe_endpoints", 10.0),
    "routing-count-days": ("routing.count_days", 300.0),
    "routing-videos": ("routing.ring_videos", 2.0),
}
