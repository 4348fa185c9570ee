"""What is owed to those who send an invoice, month by month, and recording what was paid; for staff."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from billing.forms import InvoiceForm
from billing.services import payables as owed
from billing.services.earnings import Line
from marketplace.lib.errors import AppError, Forbidden
from marketplace.models import Endpoint, Model, Provider
from marketplace.views.visitor import Visitor, signed_in


@require_safe
@signed_in
def payables(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The months of a year."""
    visitor.require_staff()
    names = _provider_names()
    rows = [(row, names.get(row.provider, row.provider)) for row in owed.listed()]
    context = {"section": "payables", "rows": rows}
    return render(request, "billing/payables.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def payable(request: HttpRequest, visitor: Visitor, slug: str, side: str, year: int, month: int) -> HttpResponse:
    """One account's month with its lines and the form for its invoice; `?provider=` says whose."""
    visitor.require_staff()
    found = owed.find(slug=slug, side=side, provider=request.GET.get("provider", ""), year=year, month=month)
    form = InvoiceForm(request.POST or None, initial={"paid_on": timezone.now().date()})
    if request.method == "POST":
        if not visitor.user.has_perm("billing.add_paidinvoice"):
            raise Forbidden("You may not record invoices: ask for the permission to add paid invoices.")
        if form.is_valid():
            try:
                made = owed.record(payable=found, recorded_by=visitor.user, **form.asked())
            except AppError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, f"Invoice {made.invoice} is booked; the month is settled.")
                return redirect("payables")
    context = {
        "section": "payables",
        "payable": found,
        "provider_name": _provider_names().get(found.provider, found.provider),
        "lines": _placed(owed.lines(found), visitor),
        "form": form,
        "may_record": found.is_over and not found.by_stripe and found.paid is None,
    }
    return render(request, "billing/payable.html", context, status=422 if form.errors else 200)


def _placed(lines: list[Line], visitor: Visitor) -> list[tuple[Line, Endpoint | None, Model | None]]:
    """Each line with its endpoint and its model's page, where these are still there and the model may be seen."""
    places = Endpoint.objects.in_bulk({line.endpoint for line in lines})
    slugs = {line.model.rpartition("/")[2] for line in lines}
    seen = Model.objects.visible_to(visitor.account.pk).filter(slug__in=slugs).select_related("publisher")
    models = {model.full_slug: model for model in seen}
    return [(line, places.get(line.endpoint), models.get(line.model)) for line in lines]


def _provider_names() -> dict[str, str]:
    """Slug -> name."""
    return dict(Provider.objects.values_list("slug", "name"))
