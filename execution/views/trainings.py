"""Pages: train a version on one's own data, and watch what comes of it."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing.services import breakdowns
from execution import schema, training
from execution.forms import DestinationForm, RunForm
from execution.models import Prediction
from execution.services import predictions, trainings
from execution.services.endings import UNIT
from execution.views import displays
from execution.views.displays import base_of
from execution.views.runs import store_uploads
from marketplace.lib.errors import AppError, Unprocessable
from marketplace.models import Version
from marketplace.services import prices
from marketplace.views.visitor import Visitor, signed_in

PAGE = 30


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def train(request: HttpRequest, visitor: Visitor, version_id: str) -> HttpResponse:
    """The form of a version's train function; a good one leads to its training."""
    version = predictions.resolve(reference=version_id, account_id=visitor.account.pk)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    try:
        form = RunForm(*sent, document=training.document_of(version.openapi_schema))
    except schema.InvalidSchema as error:
        raise Unprocessable(f"This version cannot be trained: {error}.") from None
    target = DestinationForm(sent[0], prefix="to")
    if request.method == "POST" and form.is_valid() and target.is_valid():
        try:
            made = _begin(request, visitor, version, form, target)
        except AppError as error:
            form.add_error(None, error.message)
        else:
            return redirect("training_detail", made.pk)
    machine = version.model.hardware
    context = {
        "section": "models",
        "version": version,
        "model": version.model,
        "form": form,
        "target": target,
        "destinations": trainings.destinations(account_id=visitor.account.pk),
        "per_second": prices.snapshot(hardware_id=machine.pk).get(UNIT) if machine else None,
    }
    return render(request, "execution/train.html", context, status=422 if form.is_bound else 200)


def _begin(
    request: HttpRequest, visitor: Visitor, version: Version, form: RunForm, target: DestinationForm
) -> Prediction:
    given, stored = store_uploads(visitor.account.pk, form.given())
    return trainings.create_into(
        account=visitor.account,
        slug=target.cleaned_data["slug"],
        version=version,
        given=given,
        base=base_of(request),
        uploads=stored,
        user_id=visitor.user.pk,
    )


@require_safe
@signed_in
def training_list(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's trainings, newest first."""
    page = Paginator(trainings.listed(account_id=visitor.account.pk), PAGE).get_page(request.GET.get("page"))
    return render(request, "execution/trainings.html", {"section": "trainings", "page": page})


@require_safe
@signed_in
def training_detail(request: HttpRequest, visitor: Visitor, training_id: str) -> HttpResponse:
    """One training; HTMX asks for the live part again while it runs."""
    row = trainings.find(account_id=visitor.account.pk, training_id=training_id)
    part = "HX-Request" in request.headers
    template = "execution/components/training_live.html" if part else "execution/training.html"
    shown = displays.shown(row, base=base_of(request))
    context: dict[str, Any] = {
        "section": "trainings",
        "training": row,
        "made": trainings.version_of(row),
        "rest": _rest(shown["output"]),
        "cost": breakdowns.of(account_id=row.account_id, kind=row.kind, reference=row.pk),
        **shown,
    }
    return render(request, template, context)


def _rest(output: Any) -> dict[str, Any]:
    """What a train function returned beside its weights."""
    found = output if isinstance(output, dict) else {}
    return {name: value for name, value in found.items() if name not in (training.WEIGHTS, "version")}


@require_POST
@signed_in
def training_cancel(request: HttpRequest, visitor: Visitor, training_id: str) -> HttpResponse:
    """End a training."""
    row = trainings.cancel(account_id=visitor.account.pk, training_id=training_id)
    return redirect("training_detail", row.pk)
