"""What this app's rows are known by."""

from __future__ import annotations

from marketplace.lib import ids


def new_id() -> str:
    """26 lower-case characters, as clients know them."""
    return ids.random_lower(26)
