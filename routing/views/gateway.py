"""Pages of the gateway: the chat playground, and why a generation went where it went."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing.services import breakdowns
from marketplace.lib.errors import AppError
from marketplace.services import browse
from marketplace.views.visitor import Visitor, public, signed_in
from routing.forms import PresetForm
from routing.services import presets as kept
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
            {"attempt": attempt, "reason": records.reason(attempt), "broken": records.broke_off(attempt)}
            for attempt in found.attempts.order_by("position")
        ],
        "cost": breakdowns.of(account_id=found.account_id, kind=found.operation, reference=str(found.pk)),
        "why": records.why(found),
    }
    return render(request, "routing/generation.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def presets(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's presets; sent, one is kept as a new version."""
    form = PresetForm(request.POST or None)
    if request.method == "POST":
        visitor.require_manager()
        if form.is_valid():
            slug = form.cleaned_data["slug"]
            try:
                kept.keep(account_id=visitor.account.pk, slug=slug, dialect="chat", body=form.body(), by=visitor.user)
            except AppError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, f"@preset/{slug} is kept.")
                return redirect("preset", slug)
    rows = [{"preset": row, "newest": kept.newest(row)} for row in kept.listed(account_id=visitor.account.pk)]
    context = {"section": "presets", "rows": rows, "form": form, "can_manage": visitor.can_manage}
    return render(request, "routing/presets.html", context, status=422 if form.errors else 200)


@require_safe
@signed_in
def preset(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """One preset with what its versions say, the newest first."""
    row = kept.find(account_id=visitor.account.pk, slug=slug)
    versions = [
        {"version": one, "text": json.dumps(one.config, indent=2, ensure_ascii=False)} for one in row.versions.all()
    ]
    context = {"section": "presets", "preset": row, "versions": versions, "can_manage": visitor.can_manage}
    return render(request, "routing/preset.html", context)


@require_POST
@signed_in
def preset_toggle(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Take a preset out of use, or back."""
    row = kept.find(account_id=visitor.account.pk, slug=slug)
    visitor.require_manager()
    status = "disabled" if row.status == "active" else "active"
    kept.change(preset=row, name=None, description=None, status=status)
    messages.success(request, f"@preset/{slug} is {status}.")
    return redirect("preset", slug)
