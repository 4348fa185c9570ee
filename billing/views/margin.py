"""The platform's margin, for staff."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.services import margin
from marketplace.views.visitor import Visitor, signed_in


@require_safe
@signed_in
def months(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """What was left in each month."""
    visitor.require_staff()
    return render(request, "billing/margins.html", {"section": "margin", "months": margin.listed()})


@require_safe
@signed_in
def month(request: HttpRequest, visitor: Visitor, year: int, month: int) -> HttpResponse:
    """One month by model and provider."""
    visitor.require_staff()
    context = {"section": "margin", "month": margin.month(year=year, month=month)}
    return render(request, "billing/margin.html", context)
