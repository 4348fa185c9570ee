"""The models list as an RSS feed: new models for people who read feeds."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from django.utils.feedgenerator import Rss201rev2Feed

from marketplace.services.browse import Listing


def write(listings: Iterable[Listing], *, site_url: str, to_chat: bool) -> str:
    """RSS 2.0; each item leads to the model's page, or to the playground with the model chosen."""
    feed = Rss201rev2Feed(
        title="Turnpike models",
        link=f"{site_url}/models",
        description="Models that this gateway serves.",
        language="en",
    )
    for listing in listings:
        row = listing.model
        address = f"{site_url}/chat?{urlencode({'model': row.full_slug})}" if to_chat else f"{site_url}/{row.full_slug}"
        feed.add_item(
            title=row.name,
            link=address,
            description=row.description,
            unique_id=row.full_slug,
            unique_id_is_permalink=False,
            pubdate=row.created_at,
        )
    return feed.writeString("utf-8")
