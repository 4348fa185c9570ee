"""POST and GET /v1/predictions, POST /v1/models/{owner}/{name}/predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from execution import limits
from execution.api import orders, pages, shapes
from execution.api.edge import View, answer, caller_of, hop, plain, wait_seconds
from execution.api.orders import Order
from execution.models import Deployment, Prediction
from execution.services import deployments, predictions, renderings, streams, waits
from marketplace.lib import sse
from marketplace.lib.errors import InvalidRequest
from marketplace.models import Version
from marketplace.services.keys import Caller

PAGE = 100
# Clients give up at n + 0.5 seconds; the answer leaves a little before n.
_EARLY_SECONDS = 0.25


class Predictions(View):
    """The account's predictions."""

    async def get(self, request: Any) -> JsonResponse:
        """A page of them, newest first."""
        caller = await self.caller(request)
        return answer(await hop(_page, plain(request), caller.account_id))

    async def post(self, request: Any) -> JsonResponse:
        """Make one; `version` is owner/name, owner/name:id or id."""
        return await _create(self, plain(request))


class ModelPredictions(View):
    """Predictions of one model's newest version."""

    async def post(self, request: Any, owner: str, name: str) -> JsonResponse:
        """Make one."""
        return await _create(self, plain(request), model=(owner, name))


class DeploymentPredictions(View):
    """Predictions on a deployment's own instances."""

    async def post(self, request: Any, owner: str, name: str) -> JsonResponse:
        """Make one."""
        return await _create(self, plain(request), deployment=(owner, name))


class OnePrediction(View):
    """One prediction."""

    async def get(self, request: Any, prediction_id: str) -> JsonResponse:
        """As it is now."""
        return answer(await hop(_shown, plain(request), prediction_id))


class CancelPrediction(View):
    """The end of one, wanted by its owner."""

    async def post(self, request: Any, prediction_id: str) -> JsonResponse:
        """Cancel it; one that has ended is answered as it is."""
        caller = await self.caller(request)
        return answer(await hop(_canceled, caller.account_id, prediction_id, shapes.base_of(plain(request))))


class Stream(View):
    """A prediction as server-sent events, behind a signed link; no key is asked for."""

    async def get(self, request: Any, prediction_id: str) -> HttpResponseBase:
        """From the beginning, or from where Last-Event-ID was."""
        http = plain(request)
        account_id = streams.open_link(prediction_id=prediction_id, asked=http.GET)
        position = streams.position_of(http.headers.get("Last-Event-ID", ""))
        tell = partial(streams.news, account_id=account_id, prediction_id=prediction_id, base=shapes.base_of(http))
        first = await hop(tell, position=position)  # a prediction that is gone is a 404, not an empty stream
        response = StreamingHttpResponse(
            _events(prediction_id, position, first, tell), content_type="text/event-stream"
        )
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"
        response["Access-Control-Allow-Origin"] = "*"
        return response


News = tuple[list[streams.Told], int, bool]


async def _events(
    prediction_id: str, position: streams.Position, news: News, tell: Callable[..., News]
) -> AsyncIterator[bytes]:
    while True:
        told, revision, over = news
        if told:
            position = told[-1].position
            yield b"".join(sse.event(one.data, event=one.name, id=one.position.id(now=timezone.now())) for one in told)
        if over:
            return
        while not await waits.until_changed(prediction_id, seen=revision, seconds=limits.STREAM_KEEP_ALIVE_SECONDS):
            yield sse.comment("keep-alive")
        news = await hop(tell, position=position)


Named = tuple[str, str] | None  # owner and name


async def _create(view: View, request: HttpRequest, *, model: Named = None, deployment: Named = None) -> JsonResponse:
    base = shapes.base_of(request)
    row, replayed = await hop(_make, request, model, deployment, base)
    seconds = wait_seconds(request)
    over = seconds > 0 and await waits.until_over(row.pk, seconds=max(0.5, seconds - _EARLY_SECONDS))
    shown = await hop(_made, row, base, waited=seconds > 0, over=over)
    headers = {"Location": shown["urls"]["get"]}
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds:g}"
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(shown, status=202 if seconds and not over else 201, headers=headers)


def _make(request: HttpRequest, model: Named, deployment: Named, base: str) -> tuple[Prediction, bool]:
    """The new prediction, or the one made earlier under the same Idempotency-Key."""
    caller = caller_of(request, creates=True)

    def make(order: Order) -> Prediction:
        version, kept = _to_run(caller, order.body.get("version"), model, deployment)
        return predictions.create(
            account_id=caller.account_id,
            key_id=caller.key_id,
            version=version,
            given=order.body.get("input", {}),
            base=base,
            cancel_after=order.cancel_after,
            once=order.once,
            webhook=order.webhook,
            webhook_events=order.webhook_events,
            deployment=kept,
        )

    route = f"{'deployments' if deployment else 'predictions'} {'/'.join(deployment or model or ())}"
    made = orders.placed(request, caller, route=route, make=make)
    if isinstance(made, str):
        return predictions.find(account_id=caller.account_id, prediction_id=made), True
    return made, False


def _to_run(caller: Caller, named: Any, model: Named, deployment: Named) -> tuple[Version, Deployment | None]:
    """The version that the address names, with its deployment, else the one that the body names."""
    if deployment is not None:
        owner, name = deployment
        kept, version = deployments.to_use(account_id=caller.account_id, owner=owner, name=name)
        return version, kept
    if model is not None:
        return predictions.latest_of(owner=model[0], name=model[1], account_id=caller.account_id), None
    if isinstance(named, str):
        return predictions.resolve(reference=named, account_id=caller.account_id), None
    raise InvalidRequest('Say which model to run: "version" is owner/name, owner/name:id or a version\'s id.')


def _made(row: Prediction, base: str, *, waited: bool, over: bool) -> dict[str, Any]:
    """What a creation answers: the row as it was made, or as it is after the wait."""
    if waited:
        predictions.renew(row)
    return renderings.prediction(row, base=base, as_starting=waited and not over and not row.is_over)


def _shown(request: HttpRequest, prediction_id: str) -> dict[str, Any]:
    row = predictions.find(account_id=caller_of(request).account_id, prediction_id=prediction_id)
    return renderings.prediction(row, base=shapes.base_of(request))


def _canceled(account_id: int, prediction_id: str, base: str) -> dict[str, Any]:
    return renderings.prediction(predictions.cancel(account_id=account_id, prediction_id=prediction_id), base=base)


def _page(request: HttpRequest, account_id: int) -> dict[str, Any]:
    source = request.GET.get("source", "")
    if source not in ("", *Prediction.Source.values):
        raise InvalidRequest("`source` is web or api.")
    rows = predictions.listed(
        account_id=account_id,
        source=source,
        created_after=_time(request, "created_after"),
        created_before=_time(request, "created_before"),
    )
    base = shapes.base_of(request)
    return pages.page(
        rows, request=request, size=PAGE, show=lambda found: [renderings.summary(row, base=base) for row in found]
    )


def _time(request: HttpRequest, name: str) -> dt.datetime | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise InvalidRequest(f"`{name}` is an ISO 8601 time, such as 2026-01-31T12:00:00Z.")
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
