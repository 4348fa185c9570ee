"""POST /v1/models/{owner}/{name}/versions/{id}/trainings, GET /v1/trainings, one of them, and its cancel."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse

from execution.api import orders, pages, shapes
from execution.api.edge import View, answer, hop, plain
from execution.api.orders import Order
from execution.models import Prediction
from execution.services import renderings, trainings, versions
from marketplace.services.keys import Caller

PAGE = 100


class Trainings(View):
    """The account's trainings."""

    async def get(self, request: Any) -> JsonResponse:
        """A page of them, newest first."""
        caller = await self.caller(request)
        return answer(await hop(_page, plain(request), caller.account_id))


class VersionTrainings(View):
    """Trainings of one version."""

    async def post(self, request: Any, owner: str, name: str, version_id: str) -> JsonResponse:
        """Begin one: {"destination": "owner/name", "input": {…}}."""
        caller = await self.caller(request, creates=True)
        base = shapes.base_of(plain(request))
        training_id, replayed = await hop(_make, plain(request), caller, (owner, name, version_id), base)
        row = await hop(_shown, caller.account_id, training_id, base)
        headers = {"Location": row["urls"]["get"], **({"Idempotent-Replayed": "true"} if replayed else {})}
        return answer(row, status=201, headers=headers)


class OneTraining(View):
    """One training."""

    async def get(self, request: Any, training_id: str) -> JsonResponse:
        """As it is now."""
        caller = await self.caller(request)
        return answer(await hop(_shown, caller.account_id, training_id, shapes.base_of(plain(request))))


class CancelTraining(View):
    """The end of one, wanted by its owner."""

    async def post(self, request: Any, training_id: str) -> JsonResponse:
        """Cancel it; one that has ended is answered as it is."""
        caller = await self.caller(request)
        return answer(await hop(_canceled, caller.account_id, training_id, shapes.base_of(plain(request))))


def _make(request: HttpRequest, caller: Caller, named: tuple[str, str, str], base: str) -> tuple[str, bool]:
    """The new training's id, or that of the one made earlier under the same Idempotency-Key."""
    owner, name, version_id = named

    def make(order: Order) -> Prediction:
        return trainings.create(
            account_id=caller.account_id,
            key_id=caller.key_id,
            version=versions.find(account_id=caller.account_id, owner=owner, name=name, version_id=version_id),
            destination=order.body.get("destination"),
            given=order.body.get("input", {}),
            base=base,
            cancel_after=order.cancel_after,
            once=order.once,
            webhook=order.webhook,
            webhook_events=order.webhook_events,
        )

    made = orders.placed(request, caller, route=f"trainings {version_id}", make=make)
    return (made, True) if isinstance(made, str) else (made.pk, False)


def _shown(account_id: int, training_id: str, base: str) -> dict[str, Any]:
    return renderings.prediction(trainings.find(account_id=account_id, training_id=training_id), base=base)


def _canceled(account_id: int, training_id: str, base: str) -> dict[str, Any]:
    return renderings.prediction(trainings.cancel(account_id=account_id, training_id=training_id), base=base)


def _page(request: HttpRequest, account_id: int) -> dict[str, Any]:
    base = shapes.base_of(request)
    return pages.page(
        trainings.listed(account_id=account_id),
        request=request,
        size=PAGE,
        show=lambda found: [renderings.summary(row, base=base) for row in found],
    )
