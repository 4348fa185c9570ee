"""The operator's pages of one endpoint: its probes, prices and sales, and switching it off and on."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from marketplace.lib.errors import AppError, Conflict
from marketplace.services import endpoints, prices
from marketplace.views.visitor import Visitor, signed_in
from routing import operator_forms as filled
from routing.services import earnings


@require_safe
@signed_in
def endpoint(request: HttpRequest, visitor: Visitor, endpoint_id: int) -> HttpResponse:
    """One endpoint; HTMX asks for the live part again while it is being probed."""
    return _endpoint_page(request, visitor, endpoint_id)


@require_POST
@signed_in
def endpoint_price(request: HttpRequest, visitor: Visitor, endpoint_id: int) -> HttpResponse:
    """Set the prices from now on."""
    row = endpoints.find(account_id=visitor.account.pk, endpoint_id=endpoint_id)
    visitor.require_manager()
    form = filled.PricesForm(request.POST)
    if form.is_valid():
        try:
            endpoints.reprice(row, price=form.prices())
        except AppError as error:
            filled.say(form, error)
        else:
            messages.success(request, "The prices hold for new requests from now on.")
            return redirect("operator_endpoint", endpoint_id)
    return _endpoint_page(request, visitor, endpoint_id, form)


@require_POST
@signed_in
def endpoint_probe(request: HttpRequest, visitor: Visitor, endpoint_id: int) -> HttpResponse:
    """Have it probed now."""
    row = endpoints.find(account_id=visitor.account.pk, endpoint_id=endpoint_id)
    visitor.require_manager()
    endpoints.ask_for_probe(row)
    messages.success(request, "It is probed within seconds.")
    return redirect("operator_endpoint", endpoint_id)


@require_POST
@signed_in
def endpoint_switch(request: HttpRequest, visitor: Visitor, endpoint_id: int) -> HttpResponse:
    """Switch it off, or on again: then it is probed first."""
    row = endpoints.find(account_id=visitor.account.pk, endpoint_id=endpoint_id)
    visitor.require_manager()
    if request.POST.get("to") == "off":
        endpoints.disable(row)
        messages.success(request, f"{row.model} takes no requests here until you switch it on.")
        return redirect("operator_endpoint", endpoint_id)
    try:
        endpoints.enable(row)
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{row.model} is shown when its probe has passed.")
    return redirect("operator_endpoint", endpoint_id)


def _endpoint_page(
    request: HttpRequest, visitor: Visitor, endpoint_id: int, form: filled.PricesForm | None = None
) -> HttpResponse:
    row = endpoints.find(account_id=visitor.account.pk, endpoint_id=endpoint_id)
    table = prices.snapshot(endpoint_id=row.pk)
    context = {
        "section": "operate",
        "endpoint": row,
        "prices": table,
        "history": prices.history(endpoint_ids=[row.pk])[::-1],
        "sales": earnings.by_endpoint(provider_id=row.provider_id).get(row.pk, earnings.Sales()),
        "days": earnings.DAYS,
        "form": form or filled.PricesForm(initial=filled.PricesForm.initial_of(table)),
        "can_manage": visitor.can_manage,
    }
    part = "HX-Request" in request.headers
    template = "routing/operator/endpoint_live.html" if part else "routing/operator/endpoint.html"
    return render(request, template, context, status=422 if form else 200)
