"""Pages of the gateway: the chat playground, and why a generation went where it went."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.services import browse
from marketplace.views.visitor import Visitor, public, signed_in
from routing.services import records


@require_safe
@public
def playground(request: HttpRequest, visitor: Visitor | None) -> HttpResponse:
    """Chat with any model that answers text; ?model=author/slug chooses one."""
    listings = browse.models(account_id=visitor.account.pk if visitor else None)
    chatting = [one for one in browse.narrow(listings, narrowed=browse.Filter(sort="name")) if one.chats]
    names = {one.model.full_slug for one in chatting}
    asked = request.GET.get("model", "")
    chosen = asked if asked in names else (chatting[0].model.full_slug if chatting else "")
    context = {"section": "playground", "listings": chatting, "chat_model": chosen}
    return render(request, "routing/playground.html", context)


@require_safe
@signed_in
def generation(request: HttpRequest, visitor: Visitor, generation_id: str) -> HttpResponse:
    """One request of the account: who was asked in which order, what came of it, what it cost."""
    found = records.generation(account_id=visitor.account.pk, public_id=generation_id)
    context = {
        "section": "usage",
        "generation": found,
        "attempts": [
            {"attempt": attempt, "reason": records.reason(attempt)} for attempt in found.attempts.order_by("position")
        ],
        "cost_lines": records.cost_lines(found),
    }
    return render(request, "routing/generation.html", context)
