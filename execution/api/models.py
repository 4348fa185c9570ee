"""GET /v1/models…, /v1/hardware and /v1/account."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, JsonResponse

from execution.api import pages, shapes
from execution.api.edge import View, answer, hop, plain
from execution.services import versions
from marketplace.lib.errors import NotFound
from marketplace.models import Account, Hardware, Model, Version

PAGE = 25


class AccountView(View):
    """Who calls."""

    async def get(self, request: Any) -> JsonResponse:
        """The account of the key."""
        caller = await self.caller(request)
        return answer(await hop(_account, caller.account_id, shapes.base_of(plain(request))))


class HardwareView(View):
    """The machines to run on."""

    async def get(self, request: Any) -> JsonResponse:
        """All of them, as a plain list."""
        await self.caller(request)
        return answer(await hop(lambda: [shapes.hardware(row) for row in Hardware.objects.filter(is_active=True)]))


class Models(View):
    """Hosted models."""

    async def get(self, request: Any) -> JsonResponse:
        """A page of those that the caller may see."""
        caller = await self.caller(request)
        return answer(await hop(_models, plain(request), caller.account_id))


class OneModel(View):
    """One hosted model."""

    async def get(self, request: Any, owner: str, name: str) -> JsonResponse:
        """With its newest version."""
        caller = await self.caller(request)
        return answer(await hop(_model, owner, name, caller.account_id, shapes.base_of(plain(request))))


class Versions(View):
    """A model's versions."""

    async def get(self, request: Any, owner: str, name: str) -> JsonResponse:
        """A page, newest first."""
        caller = await self.caller(request)
        return answer(await hop(_versions, plain(request), owner, name, caller.account_id))


class OneVersion(View):
    """One version."""

    async def get(self, request: Any, owner: str, name: str, version_id: str) -> JsonResponse:
        """With its schema."""
        caller = await self.caller(request)
        found = await hop(versions.find, account_id=caller.account_id, owner=owner, name=name, version_id=version_id)
        return answer(shapes.version(found))


def _account(account_id: int, base: str) -> dict[str, str]:
    return shapes.account(Account.objects.get(pk=account_id), base=base)


def _hosted(account_id: int) -> Any:
    rows = Model.objects.visible_to(account_id).filter(hardware__isnull=False, versions__isnull=False).distinct()
    return rows.select_related("publisher").annotate(run_count=Count("predictions", distinct=True))


def _latest(model_ids: list[int]) -> dict[int, Version]:
    found: dict[int, Version] = {}
    for row in Version.objects.filter(model_id__in=model_ids).order_by("created_at"):
        found[row.model_id] = row
    return found


def _models(request: HttpRequest, account_id: int) -> dict[str, Any]:
    base = shapes.base_of(request)

    def show(rows: list[Any]) -> list[dict[str, Any]]:
        latest = _latest([row.pk for row in rows])
        return [shapes.model(row, base=base, latest=latest.get(row.pk), run_count=row.run_count) for row in rows]

    return pages.page(_hosted(account_id), request=request, size=PAGE, show=show)


def _model(owner: str, name: str, account_id: int, base: str) -> dict[str, Any]:
    rows = Model.objects.visible_to(account_id).named(f"{owner}/{name}").filter(hardware__isnull=False)
    row: Any = rows.select_related("publisher").annotate(run_count=Count("predictions", distinct=True)).first()
    if row is None:
        raise NotFound(f"There is no model {owner}/{name}.")
    return shapes.model(row, base=base, latest=_latest([row.pk]).get(row.pk), run_count=row.run_count)


def _versions(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    model = Model.objects.visible_to(account_id).named(f"{owner}/{name}").first()
    if model is None:
        raise NotFound(f"There is no model {owner}/{name}.")
    rows = Version.objects.filter(model=model)
    return pages.page(rows, request=request, size=PAGE, show=lambda found: [shapes.version(row) for row in found])
