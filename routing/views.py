"""Pages of the gateway: the chat playground, and why a generation went where it went."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.services import browse
from marketplace.views.visitor import Visitor, public


@require_safe
@public
def playground(request: HttpRequest, visitor: Visitor | None) -> HttpResponse:
    """Chat with any model that answers text; ?model=author/slug chooses one."""
    listings = browse.models(account_id=visitor.account.pk if visitor else None, narrowed=browse.Filter(sort="name"))
    chatting = [one for one in listings if one.chats]
    names = {one.model.full_slug for one in chatting}
    asked = request.GET.get("model", "")
    chosen = asked if asked in names else (chatting[0].model.full_slug if chatting else "")
    context = {"section": "playground", "listings": chatting, "chat_model": chosen}
    return render(request, "routing/playground.html", context)
