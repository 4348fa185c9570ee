"""API keys: the list, a new one (shown once), disable, end. On this floor because a key's spend is money."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing.forms import KeyForm
from billing.services import budgets, ledger, usage
from marketplace.lib.errors import AppError
from marketplace.models import ApiKey
from marketplace.services import browse
from marketplace.services import keys as api_keys
from marketplace.views import snippets
from marketplace.views.visitor import Visitor, signed_in


@require_safe
@signed_in
def keys(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's keys with what they spent and may still spend."""
    listed = api_keys.listed(account_id=visitor.account.pk)
    spent = usage.of_keys(account_id=visitor.account.pk, key_ids=[key.pk for key in listed])
    rows = [
        {
            "key": key,
            "spent_nano": spent[key.pk].total,
            "left_nano": budgets.remaining(key),
            "has_expired": key.expires_at is not None and key.expires_at <= timezone.now(),
        }
        for key in listed
    ]
    context = {"section": "keys", "rows": rows, "can_manage": visitor.can_manage}
    return render(request, "billing/keys.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def key_create(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The form, and after it the only page that ever shows the key: no redirect, so that nothing stores it."""
    visitor.require_manager()
    form = KeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            key, plaintext = api_keys.issue(account=visitor.account, created_by=visitor.user, **form.asked())
        except AppError as error:
            form.add_error(None, error.message)
        else:
            return render(request, "billing/key_created.html", _first_steps(request, key, plaintext))
    context = {"section": "keys", "form": form}
    return render(request, "billing/key_create.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def key_toggle(request: HttpRequest, visitor: Visitor, key_id: int) -> HttpResponse:
    """Disable a key, or enable it again."""
    key = api_keys.find(account_id=visitor.account.pk, key_id=key_id)
    visitor.require_manager()
    key = api_keys.change(account=visitor.account, key_id=key_id, disabled=not key.disabled)
    messages.success(request, f"{key.name} is {'disabled' if key.disabled else 'enabled'}.")
    return redirect("keys")


@require_POST
@signed_in
def key_revoke(request: HttpRequest, visitor: Visitor, key_id: int) -> HttpResponse:
    """End a key for good; what it spent stays on the usage page."""
    key = api_keys.find(account_id=visitor.account.pk, key_id=key_id)
    visitor.require_manager()
    api_keys.delete(account=visitor.account, key_id=key_id)
    messages.success(request, f"{key.name} is deleted: requests with it are refused from now on.")
    return redirect("keys")


def _first_steps(request: HttpRequest, key: ApiKey, plaintext: str) -> dict[str, Any]:
    """What the page of a new key shows: the key, whether anything can be paid with it, code to paste."""
    site_url = snippets.site_url(request)
    model = snippets.chat_example(browse.models(account_id=key.account_id))
    return {
        "section": "keys",
        "key": key,
        "plaintext": plaintext,
        "calls_models": "inference" in key.scopes,
        "free_nano": ledger.wallet_of(key.account_id).free_nano,
        "base_url": f"{site_url}/api/v1",
        # Reads the pasted key unseen and keeps it out of the shell's history.
        "export": "read -rs TURNPIKE_API_KEY && export TURNPIKE_API_KEY",
        "check": f'curl {site_url}/api/v1/key -H "Authorization: Bearer $TURNPIKE_API_KEY"',
        "chat": snippets.chat(model, site_url=site_url)["curl"],
    }
