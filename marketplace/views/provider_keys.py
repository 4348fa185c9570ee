"""The account's own keys at providers: the list, a new one, switch and forget."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from marketplace.forms import ProviderKeyForm
from marketplace.lib.errors import AppError
from marketplace.services import browse
from marketplace.services import provider_keys as own
from marketplace.views.visitor import Visitor, signed_in


@require_http_methods(["GET", "POST"])
@signed_in
def provider_keys(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The keys in the order in which they are tried; sent, a new one is kept."""
    providers = [(one.slug, one.name) for one in browse.providers()]
    form = ProviderKeyForm(request.POST or None, providers=providers)
    if request.method == "POST":
        visitor.require_manager()
        if form.is_valid():
            given = form.cleaned_data
            values = {
                "name": given["name"],
                "is_fallback": given["order"] == "after",
                "allowed_models": given["allowed_models"].split() or None,
            }
            try:
                row = own.keep(
                    account=visitor.account,
                    provider=given["provider"],
                    key=given["key"],
                    by=visitor.user,
                    values=values,
                )
            except AppError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, f"The key at {row.provider.name} is kept and used from now on.")
                return redirect("provider_keys")
    context = {
        "section": "provider_keys",
        "rows": own.listed(account_id=visitor.account.pk),
        "form": form,
        "fee_percent": f"{settings.BYOK_FEE_BPS / 100:g}",
        "can_manage": visitor.can_manage,
    }
    return render(request, "marketplace/provider_keys.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def provider_key_toggle(request: HttpRequest, visitor: Visitor, public_id: UUID) -> HttpResponse:
    """Stop using a key, or use it again."""
    row = own.find(account_id=visitor.account.pk, public_id=public_id)
    visitor.require_manager()
    own.change(row=row, values={"disabled": not row.disabled})
    messages.success(request, f"The key at {row.provider.name} is {'disabled' if row.disabled else 'enabled'}.")
    return redirect("provider_keys")


@require_POST
@signed_in
def provider_key_forget(request: HttpRequest, visitor: Visitor, public_id: UUID) -> HttpResponse:
    """Wipe a key for good."""
    row = own.find(account_id=visitor.account.pk, public_id=public_id)
    visitor.require_manager()
    own.forget(row=row)
    messages.success(request, f"The key at {row.provider.name} is wiped.")
    return redirect("provider_keys")
