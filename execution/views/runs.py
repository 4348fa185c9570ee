"""Pages: watch a model build, run a version and see what comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing.services import breakdowns
from execution import limits, schema
from execution.forms import RunForm
from execution.models import Build, Prediction
from execution.services import builds, examples, files, listings, predictions
from execution.views import displays
from execution.views.displays import base_of, sent
from marketplace.lib import pool, sse
from marketplace.lib.errors import AppError, InvalidRequest, Unprocessable
from marketplace.models import Model
from marketplace.views.visitor import Visitor, signed_in

PAGE = 30
LOG_SECONDS = 0.5
LIST_LOGS = 4_000


@require_safe
@signed_in
def my_models(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """What the account publishes, and its latest builds."""
    rows = Model.objects.owned_by(visitor.account.pk).filter(hardware__isnull=False)
    context = {
        "section": "my_models",
        "models": rows.select_related("publisher", "hardware").prefetch_related("versions"),
        "builds": Build.objects.for_account(visitor.account.pk).select_related("model__publisher").defer("log")[:10],
    }
    return render(request, "execution/my_models.html", context)


@require_safe
@signed_in
def build_detail(request: HttpRequest, visitor: Visitor, build_id: str) -> HttpResponse:
    """One build; HTMX asks for the live part again while it lasts."""
    build = builds.find(account_id=visitor.account.pk, build_id=build_id)
    part = "HX-Request" in request.headers
    template = "execution/components/build_live.html" if part else "execution/build.html"
    return render(request, template, {"section": "my_models", "build": build})


@require_safe
@signed_in
def build_log(request: HttpRequest, visitor: Visitor, build_id: str) -> StreamingHttpResponse:
    """A build's log as server-sent events, from `?from=` or where Last-Event-ID was: log, restart, status, done."""
    position = request.headers.get("Last-Event-ID", "") or request.GET.get("from", "")
    account_id = visitor.account.pk
    first = builds.log_since(account_id=account_id, build_id=build_id, position=position)
    response = StreamingHttpResponse(_log_events(account_id, build_id, first), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _log_events(account_id: int, build_id: str, news: builds.LogNews) -> AsyncIterator[bytes]:
    told, silent_since = news.status, time.monotonic()
    while True:
        if news.is_anew:
            yield sse.event("", event="restart", id=f"{news.position.partition(':')[0]}:0")
        if news.text:
            yield sse.event(news.text, event="log", id=news.position)
            silent_since = time.monotonic()
        if news.is_over:
            yield sse.event(news.status, event="done", id=news.position)
            return
        if news.status != told:
            told = news.status
            yield sse.event(told, event="status", id=news.position)
        if time.monotonic() - silent_since > limits.STREAM_KEEP_ALIVE_SECONDS:
            yield sse.comment("keep-alive")
            silent_since = time.monotonic()
        await asyncio.sleep(LOG_SECONDS)
        news = await pool.run(builds.log_since, account_id=account_id, build_id=build_id, position=news.position)


@require_POST
@signed_in
def build_cancel(request: HttpRequest, visitor: Visitor, build_id: str) -> HttpResponse:
    """Stop a build."""
    build = builds.cancel(account_id=visitor.account.pk, build_id=build_id)
    return redirect("build_detail", build.pk)


@require_POST
@signed_in
def build_retry(request: HttpRequest, visitor: Visitor, build_id: str) -> HttpResponse:
    """Build the same upload once more."""
    build = builds.retry(account_id=visitor.account.pk, build_id=build_id)
    return redirect("build_detail", build.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def predict(request: HttpRequest, visitor: Visitor, version_id: str) -> HttpResponse:
    """Run a version with the form's inputs, an example's to begin with; with errors the form comes back."""
    version = predictions.resolve(reference=version_id, account_id=visitor.account.pk)
    try:
        form = RunForm(*sent(request), document=version.openapi_schema, start=_example_input(request, visitor))
    except schema.InvalidSchema as error:
        raise Unprocessable(f"This version cannot be run: {error}.") from None
    if request.method == "POST" and form.is_valid():
        try:
            given, stored = store_uploads(visitor.account.pk, form.given())
            made = predictions.create(
                account_id=visitor.account.pk,
                key_id=None,
                version=version,
                given=given,
                base=base_of(request),
                source=Prediction.Source.WEB,
                uploads=stored,
                user_id=visitor.user.pk,
            )
        except AppError as error:
            form.add_error(None, error.message)
        else:
            return redirect("prediction_detail", made.pk)
    context = {"section": "models", "version": version, "model": version.model, "form": form}
    return render(request, "execution/predict.html", context, status=422 if form.is_bound else 200)


def _example_input(request: HttpRequest, visitor: Visitor) -> dict[str, Any]:
    """What `?example=` began with, its files as links. Raises NotFound for one that this visitor may not see."""
    example_id = request.GET.get("example", "")
    if not example_id:
        return {}
    row = examples.find(account_id=visitor.account.pk, prediction_id=example_id)
    return displays.input_with_links(row, base=base_of(request))


def store_uploads(account_id: int, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The form's values with stored files in place of uploads, and the ids of those."""
    made: list[str] = []

    def stored(value: Any) -> Any:
        if isinstance(value, list):
            return [stored(one) for one in value]
        if not isinstance(value, UploadedFile):
            return value
        file = files.store(
            account_id=account_id,
            content=value.file,  # type: ignore[arg-type]
            name=value.name or "file",
            content_type=value.content_type or "",
        )
        made.append(file.pk)
        return files.mark(file)

    return {name: stored(value) for name, value in given.items()}, made


@require_safe
@signed_in
def prediction_list(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The account's predictions, newest first."""
    page = Paginator(predictions.listed(account_id=visitor.account.pk), PAGE).get_page(request.GET.get("page"))
    return render(request, "execution/predictions.html", {"section": "predictions", "page": page})


@require_safe
@signed_in
def prediction_detail(request: HttpRequest, visitor: Visitor, prediction_id: str) -> HttpResponse:
    """One prediction; HTMX asks for the live part again while it runs."""
    row = predictions.find(account_id=visitor.account.pk, prediction_id=prediction_id)
    part = "HX-Request" in request.headers
    template = "execution/components/prediction_live.html" if part else "execution/prediction.html"
    context = {
        "section": "predictions",
        "prediction": row,
        "cost": breakdowns.of(account_id=row.account_id, kind="prediction", reference=row.pk),
        "can_show": row.model.publisher.account_id == visitor.account.pk and row.status == Prediction.Status.SUCCEEDED,
        **displays.shown(row, base=base_of(request)),
    }
    return render(request, template, context)


@require_POST
@signed_in
def prediction_cancel(request: HttpRequest, visitor: Visitor, prediction_id: str) -> HttpResponse:
    """End a prediction."""
    row = predictions.cancel(account_id=visitor.account.pk, prediction_id=prediction_id)
    return redirect("prediction_detail", row.pk)


@require_POST
@signed_in
def prediction_example(request: HttpRequest, visitor: Visitor, prediction_id: str) -> HttpResponse:
    """Show a prediction of one's own model to others (`as` is example or default), or no longer (`as` is nothing)."""
    row = predictions.find(account_id=visitor.account.pk, prediction_id=prediction_id)
    owner, name = row.model.full_slug.split("/")
    model = listings.own(account_id=visitor.account.pk, owner=owner, name=name)
    match request.POST.get("as"):
        case "example" | "default" as kind:
            examples.show(model=model, prediction_id=row.pk, as_default=kind == "default")
        case "nothing":
            examples.hide(model=model, prediction_id=row.pk)
        case _:
            raise InvalidRequest("`as` is example, default or nothing.")
    return redirect("prediction_detail", row.pk)
