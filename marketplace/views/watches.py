"""The switch on a model's page: tell me when its prices change."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from marketplace.services import watches
from marketplace.views.visitor import Visitor, signed_in


@require_POST
@signed_in
def price_watch(request: HttpRequest, visitor: Visitor, author: str, slug: str) -> HttpResponse:
    """Begin or end to be told of the model's prices."""
    if watches.toggle(account=visitor.account, user=visitor.user, full_slug=f"{author}/{slug}"):
        messages.success(request, f"When prices of {author}/{slug} change, a mail goes to {visitor.user.email}.")
    else:
        messages.success(request, f"No more mails about prices of {author}/{slug}.")
    return redirect("model_detail", author=author, slug=slug)
