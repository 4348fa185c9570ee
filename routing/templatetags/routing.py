"""What pages of the floor show of routing."""

from __future__ import annotations

from django import template

from marketplace.services.browse import Listing
from routing.services import performance
from routing.services.performance import Performance

register = template.Library()


@register.simple_tag
def performance_of(listing: Listing) -> Performance:
    """How the model's providers did, and their prices over time."""
    return performance.of(listing)
