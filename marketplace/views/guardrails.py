"""Guardrails' pages: the list, one to make or change, and whom it binds."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketplace.forms import GuardrailAssignForm, GuardrailForm
from marketplace.lib.errors import AppError
from marketplace.models import ApiKey, Guardrail, Member
from marketplace.services import guardrail_names
from marketplace.services import guardrails as policies
from marketplace.services import keys as api_keys
from marketplace.views.visitor import Visitor, signed_in


@require_safe
@signed_in
def guardrails(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's guardrails with how many they bind."""
    ids = [row.pk for row in policies.listed(account_id=visitor.account.pk)]
    rows = Guardrail.objects.for_account(visitor.account.pk).filter(pk__in=ids)
    counted = rows.annotate(key_count=Count("keys", distinct=True), member_count=Count("members", distinct=True))
    context = {"section": "guardrails", "rows": counted, "can_manage": visitor.can_manage}
    return render(request, "marketplace/guardrails.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def guardrail_create(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """A new guardrail."""
    visitor.require_manager()
    form = GuardrailForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = policies.create(account=visitor.account, values=form.values())
        except AppError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"{row.name} is made: choose whom it binds.")
            _tell_unknown(request, row)
            return redirect("guardrail", row.pk)
    context = {"section": "guardrails", "form": form}
    return render(request, "marketplace/guardrail_create.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@signed_in
def guardrail(request: HttpRequest, visitor: Visitor, guardrail_id: UUID) -> HttpResponse:
    """One guardrail: what it says and whom it binds; sent, it is changed."""
    row = policies.find(account_id=visitor.account.pk, guardrail_id=guardrail_id)
    form = GuardrailForm(request.POST or None, initial=GuardrailForm.initial_of(row))
    if request.method == "POST":
        visitor.require_manager()
        if form.is_valid():
            try:
                policies.change(row=row, values=form.values())
            except AppError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, f"{row.name} is changed: it binds from the next request on.")
                _tell_unknown(request, row)
                return redirect("guardrail", row.pk)
    context = {
        "section": "guardrails",
        "guardrail": row,
        "form": form,
        "assign": _assign_form(visitor, row),
        "can_manage": visitor.can_manage,
    }
    return render(request, "marketplace/guardrail.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def guardrail_assign(request: HttpRequest, visitor: Visitor, guardrail_id: UUID) -> HttpResponse:
    """Say whom it binds: exactly the keys and members that are ticked."""
    row = policies.find(account_id=visitor.account.pk, guardrail_id=guardrail_id)
    visitor.require_manager()
    form = _assign_form(visitor, row, request)
    if form.is_valid():
        keys, members = form.chosen()
        policies.unassign_keys(row=row, keys=[one for one in _keys(visitor) if one not in keys])
        policies.unassign_members(row=row, members=[one for one in _members(visitor) if one not in members])
        policies.assign_keys(row=row, keys=keys, by=visitor.user)
        policies.assign_members(row=row, members=members, by=visitor.user)
        messages.success(request, f"{row.name} binds {len(keys)} keys and {len(members)} members.")
    else:
        messages.error(request, "Choose among the account's own keys and members.")
    return redirect("guardrail", row.pk)


@require_POST
@signed_in
def guardrail_delete(request: HttpRequest, visitor: Visitor, guardrail_id: UUID) -> HttpResponse:
    """End a guardrail: whom it bound is free of it."""
    row = policies.find(account_id=visitor.account.pk, guardrail_id=guardrail_id)
    visitor.require_manager()
    policies.delete(row=row)
    messages.success(request, f"{row.name} is deleted.")
    return redirect("guardrails")


def _assign_form(visitor: Visitor, row: Guardrail, request: HttpRequest | None = None) -> GuardrailAssignForm:
    initial = {
        "keys": [str(one) for one in row.keys.values_list("key_id", flat=True)],
        "members": [str(one) for one in row.members.values_list("member_id", flat=True)],
    }
    given = request.POST if request else None
    return GuardrailAssignForm(given, keys=_keys(visitor), members=_members(visitor), initial=initial)


def _keys(visitor: Visitor) -> list[ApiKey]:
    return api_keys.listed(account_id=visitor.account.pk)


def _members(visitor: Visitor) -> list[Member]:
    return list(visitor.account.members.select_related("user").order_by("pk"))


def _tell_unknown(request: HttpRequest, row: Guardrail) -> None:
    if names := guardrail_names.unknown(row):
        messages.warning(request, f"Nothing here is called {', '.join(names)}: look whether that is what you meant.")
