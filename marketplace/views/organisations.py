"""Organisations: found one, see who is in it, let people in and out."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketplace.forms import MemberForm, OrganisationForm
from marketplace.lib.errors import AppError
from marketplace.models import Account, Member
from marketplace.services import accounts
from marketplace.views.visitor import Visitor, signed_in


@require_safe
@signed_in
def organisations(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The user's organisations, with their role in each."""
    memberships = (
        Member.objects.filter(user=visitor.user, account__kind=Account.Kind.ORGANISATION)
        .select_related("account")
        .order_by("account__name")
    )
    context = {"section": "organisations", "memberships": memberships}
    return render(request, "marketplace/organisations.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def organisation_create(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Found an organisation and act for it."""
    form = OrganisationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            account = accounts.open_organisation(user=visitor.user, **form.cleaned_data)
        except AppError as error:
            form.add_error("slug", error.message)
        else:
            messages.success(request, f"{account.name} is founded; you are its owner.")
            return redirect("organisation", account.slug)
    context = {"section": "organisations", "form": form}
    return render(request, "marketplace/organisation_create.html", context, status=422 if form.errors else 200)


@require_safe
@signed_in
def organisation(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Its members and their roles."""
    return _page(request, _membership(visitor, slug), MemberForm())


@require_POST
@signed_in
def member_add(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Let a registered user in, or change the role of a member."""
    own = _membership(visitor, slug)
    accounts.require_manager(user=visitor.user, account=own.account)
    form = MemberForm(request.POST)
    if form.is_valid():
        try:
            member = accounts.add_member(account=own.account, by=own, **form.cleaned_data)
        except AppError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"{member.user.email} is in {own.account.name} as {member.role}.")
            return redirect("organisation", slug)
    return _page(request, own, form, status=422)


@require_POST
@signed_in
def member_remove(request: HttpRequest, visitor: Visitor, slug: str, member_id: int) -> HttpResponse:
    """End a membership: somebody else's as a manager, one's own always."""
    own = _membership(visitor, slug)
    member = get_object_or_404(Member, pk=member_id, account=own.account)
    if member != own:
        accounts.require_manager(user=visitor.user, account=own.account)
    try:
        accounts.remove_member(member=member, by=own)
    except AppError as error:
        messages.error(request, error.message)
        return redirect("organisation", slug)
    messages.success(request, f"{member.user.email} has left {own.account.name}.")
    return redirect("organisations") if member.user == visitor.user else redirect("organisation", slug)


def _membership(visitor: Visitor, slug: str) -> Member:
    member = (
        Member.objects.filter(user=visitor.user, account__slug=slug, account__kind=Account.Kind.ORGANISATION)
        .select_related("account")
        .first()
    )
    if member is None:
        raise Http404("There is no such organisation among yours.")
    return member


def _page(request: HttpRequest, own: Member, form: MemberForm, *, status: int = 200) -> HttpResponse:
    members = own.account.members.select_related("user").order_by("created_at")
    context = {"section": "organisations", "organisation": own.account, "own": own, "members": members, "form": form}
    return render(request, "marketplace/organisation.html", context, status=status)
