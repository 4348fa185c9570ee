"""The operator's pages: providers, the models that they offer, how their probes stand, prices and earnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketplace.lib.errors import AppError, Conflict
from marketplace.models import Account, Endpoint, Price, Provider
from marketplace.services import endpoints, nearby, operators, prices
from marketplace.views.visitor import Visitor, signed_in
from routing import operator_forms as filled
from routing.services import earnings

PAGE: Final = 50
NOTICES: Final = 10


@require_safe
@signed_in
def providers(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's providers; without the operator's role, how to come by it."""
    context = {
        "section": "operate",
        "rows": operators.mine(account_id=visitor.account.pk),
        "is_operator": Account.Role.OPERATOR in visitor.account.roles,
        "share_percent": earnings.share_percent(),
        "unpaid_nano": earnings.unpaid(account_id=visitor.account.pk),
        "can_manage": visitor.can_manage,
    }
    return render(request, "routing/operator/providers.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def register(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """A new provider with the models that it offers, all or nothing."""
    visitor.require_manager()
    operators.require_operator(visitor.account)
    sent = request.POST if request.method == "POST" else None
    form, table = filled.ProviderForm(sent), filled.OFFERS(sent, prefix="models")
    if sent is not None and form.is_valid() & table.is_valid():
        try:
            row = operators.prepare(account=visitor.account, **form.said())
            offered = endpoints.offer_all(row, filled.offers(table))
        except AppError as error:
            filled.say(form, error)
        else:
            _tell_offered(request, f"{row.name} is registered.", offered)
            return redirect("operator_provider", row.slug)
    context = {"section": "operate", "form": form, "table": table}
    return render(request, "routing/operator/register.html", context, status=422 if _is_wrong(form, table) else 200)


@require_safe
@signed_in
def provider(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """One provider; HTMX asks for the live part again while something is being fetched or probed."""
    row = operators.find(account_id=visitor.account.pk, slug=slug)
    if "HX-Request" in request.headers:
        return render(request, "routing/operator/provider_live.html", _live(request, visitor, row))
    return _provider_page(request, visitor, row)


@require_POST
@signed_in
def provider_change(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Change its name, its listing's address and its data policy."""
    row = _managed(visitor, slug)
    form = filled.PolicyForm(request.POST)
    if form.is_valid():
        try:
            given = form.cleaned_data
            said = {"name": given["name"], "listing_url": given["listing_url"], "policy": form.policy(row.policy)}
            operators.change(row, **said)
        except AppError as error:
            filled.say(form, error)
        else:
            messages.success(request, f"{row.name} is changed.")
            return redirect("operator_provider", slug)
    return _provider_page(request, visitor, operators.find(account_id=visitor.account.pk, slug=slug), change=form)


@require_POST
@signed_in
def provider_credentials(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Put new credentials in the place of the old."""
    row = _managed(visitor, slug)
    form = filled.CredentialsForm(request.POST)
    if form.is_valid():
        try:
            operators.rotate(row, credentials=form.cleaned_data["credentials"])
        except AppError as error:
            filled.say(form, error)
        else:
            messages.success(request, "The credentials are replaced: the next request uses the new ones.")
            return redirect("operator_provider", slug)
    return _provider_page(request, visitor, operators.find(account_id=visitor.account.pk, slug=slug), secret=form)


@require_POST
@signed_in
def provider_refresh(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Have the listing fetched now."""
    row = _managed(visitor, slug)
    try:
        operators.refresh(row)
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "The listing is fetched within half a minute.")
    return redirect("operator_provider", slug)


@require_POST
@signed_in
def provider_switch(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Retire a provider, or bring it back."""
    row = _managed(visitor, slug)
    operators.change(row, is_active=not row.is_active)
    messages.success(
        request, f"{row.name} {'takes requests again' if row.is_active else 'takes no requests any more'}."
    )
    return redirect("operator_provider", slug)


@require_http_methods(["GET", "POST"])
@signed_in
def offer(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Offer further models, all or none."""
    row = _managed(visitor, slug)
    sent = request.POST if request.method == "POST" else None
    table = filled.OFFERS(sent, prefix="models")
    problem = ""
    if sent is not None and table.is_valid():
        try:
            offered = endpoints.offer_all(row, filled.offers(table))
        except AppError as error:
            problem = error.message
        else:
            _tell_offered(request, "", offered)
            return redirect("operator_provider", slug)
    context = {"section": "operate", "provider": row, "table": table, "problem": problem}
    status = 422 if problem or _is_wrong(table) else 200
    return render(request, "routing/operator/offer.html", context, status=status)


def _managed(visitor: Visitor, slug: str) -> Provider:
    """The provider, for somebody who may change it: a stranger learns first that it is not there."""
    row = operators.find(account_id=visitor.account.pk, slug=slug)
    visitor.require_manager()
    return row


def _live(request: HttpRequest, visitor: Visitor, row: Provider) -> dict[str, Any]:
    page = Paginator(endpoints.of_provider(row), PAGE).get_page(request.GET.get("page"))
    sold = earnings.by_endpoint(provider_id=row.pk)
    priced = prices.snapshots(endpoint_ids=[one.pk for one in page])
    rows = [
        {
            "endpoint": one,
            "prices": _sorted(priced.get(one.pk, {}).get(Price.Kind.PRICE, {})),
            "sales": sold.get(one.pk, earnings.Sales()),
        }
        for one in page
    ]
    return {
        "section": "operate",
        "provider": row,
        "page": page,
        "rows": rows,
        "is_waiting": operators.is_waiting(row),
        "can_manage": visitor.can_manage,
    }


def _sorted(table: dict[str, int]) -> dict[str, int]:
    """Prices with that of the input first, as people name them."""
    return dict(sorted(table.items(), key=lambda row: (row[0] != "prompt", row[0])))


def _provider_page(
    request: HttpRequest,
    visitor: Visitor,
    row: Provider,
    *,
    change: filled.PolicyForm | None = None,
    secret: filled.CredentialsForm | None = None,
) -> HttpResponse:
    context = _live(request, visitor, row) | {
        "form": change or filled.PolicyForm(initial=filled.PolicyForm.initial_of(row)),
        "secret": secret or filled.CredentialsForm(),
        "fingerprints": operators.fingerprints(row),
        "share_percent": earnings.share_percent(),
        "notices": operators.notices(account_id=visitor.account.pk, provider=row)[:NOTICES],
        "days": earnings.DAYS,
    }
    return render(request, "routing/operator/provider.html", context, status=422 if change or secret else 200)


def _is_wrong(*bound: Any) -> bool:
    return any(one.is_bound and not one.is_valid() for one in bound)


def _tell_offered(request: HttpRequest, first: str, offered: Sequence[Endpoint]) -> None:
    """What is probed now, and which names are new to the catalogue and nearly like one in it."""
    count = len(offered)
    models = f"{count} model{'s are' if count != 1 else ' is'} probed now and shown when that has passed."
    messages.success(request, f"{first} {models if count else ''}".strip() or "Nothing was filled in.")
    for one in offered:
        name = one.model.full_slug
        if one.model.endpoints.count() == 1 and (hint := nearby.hint(name, account_id=one.provider.account_id)):
            messages.warning(request, f"{name} is new here, so nobody asks for it yet.{hint}")
