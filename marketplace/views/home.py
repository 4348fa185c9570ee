"""The landing page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.services import browse
from marketplace.views import snippets
from marketplace.views.visitor import Visitor, public

FEATURED = 6


@require_safe
@public
def home(request: HttpRequest, visitor: Visitor | None) -> HttpResponse:
    """What this is, a call to paste, models that are really there."""
    listings = browse.models(account_id=visitor.account.pk if visitor else None)
    hosted = [one for one in listings if one.is_hosted and one.version]
    featured = (hosted[:2] + [one for one in listings if one.chats and not one.is_hosted])[:FEATURED]
    site_url = snippets.site_url(request)
    return render(
        request,
        "marketplace/home.html",
        {
            "featured": featured,
            "models_count": len(listings),
            "providers_count": len(browse.providers()),
            "curl": snippets.chat(snippets.chat_example(listings), site_url=site_url)["curl"],
        },
    )
