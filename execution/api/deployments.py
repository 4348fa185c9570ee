"""/v1/deployments: versions on instances of their own."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse

from execution.api import pages, shapes
from execution.api.edge import View, answer, hop, plain, read_json
from execution.services import deployments

PAGE: Final = 25


class Deployments(View):
    """The account's deployments."""

    async def get(self, request: Any) -> JsonResponse:
        """A page of them, newest first."""
        caller = await self.caller(request)
        return answer(await hop(_page, plain(request), caller.account_id))

    async def post(self, request: Any) -> JsonResponse:
        """Make one (answered with 200, as Replicate does)."""
        caller = await self.caller(request)
        return answer(await hop(_create, plain(request), caller.account_id))


class OneDeployment(View):
    """One deployment."""

    async def get(self, request: Any, owner: str, name: str) -> JsonResponse:
        """With its current release."""
        caller = await self.caller(request)
        base = shapes.base_of(plain(request))
        return answer(await hop(_shown, caller.account_id, owner, name, base))

    async def patch(self, request: Any, owner: str, name: str) -> JsonResponse:
        """Change it: a new release."""
        caller = await self.caller(request)
        return answer(await hop(_change, plain(request), owner, name, caller.account_id))

    async def delete(self, request: Any, owner: str, name: str) -> HttpResponse:
        """Remove one that is offline and unused."""
        caller = await self.caller(request)
        await hop(deployments.delete, account_id=caller.account_id, owner=owner, name=name)
        return HttpResponse(status=204)


def _page(request: HttpRequest, account_id: int) -> dict[str, Any]:
    base = shapes.base_of(request)
    return pages.page(
        deployments.listed(account_id=account_id),
        request=request,
        size=PAGE,
        show=lambda found: [shapes.deployment(row, base=base) for row in found],
    )


def _create(request: HttpRequest, account_id: int) -> dict[str, Any]:
    made = deployments.create(account_id=account_id, given=read_json(request))
    return shapes.deployment(made, base=shapes.base_of(request))


def _shown(account_id: int, owner: str, name: str, base: str) -> dict[str, Any]:
    return shapes.deployment(deployments.find(account_id=account_id, owner=owner, name=name), base=base)


def _change(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    row = deployments.change(account_id=account_id, owner=owner, name=name, given=read_json(request))
    return shapes.deployment(row, base=shapes.base_of(request))
