"""Every address of the site, read from the URL configuration itself."""

from __future__ import annotations

import re

from marketplace.api.document import addresses as routes

__all__ = ("routes", "shape")


def shape(address: str) -> str:
    """The address whatever its parameters are called: two routes of one shape compete for the same requests."""
    return re.sub(r"<[^>]+>", "<>", address)
