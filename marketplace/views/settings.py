"""A user's own settings, and acting for another account."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from marketplace.forms import AccountForm, ProfileForm
from marketplace.models import Account
from marketplace.services import accounts, playground
from marketplace.views.visitor import Visitor, signed_in


@require_http_methods(["GET", "POST"])
@signed_in
def account_settings(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The user's name, the account's name, ways to e-mail and password pages."""
    which = request.POST.get("form")
    profile = ProfileForm(request.POST if which == "profile" else None, instance=visitor.user)
    account = AccountForm(request.POST if which == "account" else None, instance=visitor.account)
    if which == "profile" and profile.is_valid():
        profile.save()
        messages.success(request, "Your name is saved.")
        return redirect("account_settings")
    if which == "account":
        visitor.require_manager()
        if account.is_valid():
            account.save()
            messages.success(request, "The account's name is saved.")
            return redirect("account_settings")
    context = {"section": "settings", "profile": profile, "account_form": account, "visitor": visitor}
    return render(request, "marketplace/settings.html", context)


@require_POST
@signed_in
def account_switch(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Act for another of one's accounts; the playground's key stays with the old one and ends."""
    account = get_object_or_404(Account, slug=request.POST.get("account", ""), members__user=visitor.user)
    if account != visitor.account:
        playground.end(session=request.session)
    accounts.switch(user=visitor.user, session=request.session, account_id=account.pk)
    messages.success(request, f"You now act for {account.name}.")
    onward = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(onward, allowed_hosts={request.get_host()}):
        onward = "/models"
    return redirect(onward)
