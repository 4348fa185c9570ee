"""Pages: deployments, what they keep warm and what that costs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from execution import limits
from execution.forms import DeploymentForm, ReleaseForm
from execution.models import Deployment
from execution.services import deployments
from marketplace.lib.errors import AppError
from marketplace.models import Hardware
from marketplace.views.visitor import Visitor, signed_in

SHOWN = 20


@require_safe
@signed_in
def deployment_list(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's deployments."""
    rows = [(row, row.release) for row in deployments.listed(account_id=visitor.account.pk)]
    return render(request, "execution/deployments.html", {"section": "deployments", "rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def deployment_create(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The form of a new one."""
    initial = {"model": request.GET.get("model", ""), "min_instances": 0, "max_instances": 1}
    form = DeploymentForm(request.POST if request.method == "POST" else None, machines=_machines(), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            given = deployments.with_newest_version(account_id=visitor.account.pk, given=form.cleaned_data)
            made = deployments.create(account_id=visitor.account.pk, given=given)
        except AppError as error:
            form.add_error(None, error.message)
        else:
            return redirect("deployment", made.name)
    context = {"section": "deployments", "form": form}
    return render(request, "execution/deployment_create.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def deployment_detail(request: HttpRequest, visitor: Visitor, name: str) -> HttpResponse:
    """One deployment: its release, instances and cost; a sent form is a new release."""
    row = deployments.find(account_id=visitor.account.pk, owner=visitor.account.slug, name=name)
    release = row.release
    initial = {
        "version": release.version_id,
        "hardware": release.hardware.sku,
        "min_instances": release.min_instances,
        "max_instances": release.max_instances,
    }
    form = ReleaseForm(request.POST if request.method == "POST" else None, machines=_machines(), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            deployments.change(
                account_id=visitor.account.pk, owner=visitor.account.slug, name=name, given=form.cleaned_data
            )
        except AppError as error:
            form.add_error(None, error.message)
        else:
            return redirect("deployment", name)
    context = {"section": "deployments", "form": form, **_shown(row)}
    return render(request, "execution/deployment.html", context, status=422 if form.is_bound else 200)


@require_POST
@signed_in
def deployment_delete(request: HttpRequest, visitor: Visitor, name: str) -> HttpResponse:
    """Remove one that is offline and unused."""
    deployments.delete(account_id=visitor.account.pk, owner=visitor.account.slug, name=name)
    return redirect("deployments")


def _machines() -> list[Hardware]:
    return list(Hardware.objects.filter(is_active=True))


def _shown(row: Deployment) -> dict[str, Any]:
    hourly = deployments.hourly_nano(row)
    release = row.release
    return {
        "deployment": row,
        "release": release,
        "hourly_nano": hourly,
        "least_nano": hourly * release.min_instances,
        "most_nano": hourly * release.max_instances,
        "instances": row.instances.select_related("release").order_by("-created_at")[:SHOWN],
        "releases": row.releases.select_related("version", "hardware")[:SHOWN],
        "predictions": row.predictions.order_by("-created_at")[:SHOWN],
        "unused_minutes": int(limits.UNUSED.total_seconds() // 60),
    }
