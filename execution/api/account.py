"""GET /v1/account, /v1/hardware and /v1/webhooks/default/secret: what belongs to the caller, and what there is."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse

from execution.api import shapes
from execution.api.edge import View, answer, hop, plain
from execution.services import webhooks
from marketplace.models import Account, Hardware


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


class SecretView(View):
    """What the account's webhooks are signed with."""

    async def get(self, request: Any) -> JsonResponse:
        """The secret, made when it is first asked for."""
        caller = await self.caller(request)
        return answer({"key": await hop(webhooks.secret_of, account_id=caller.account_id)})


def _account(account_id: int, base: str) -> dict[str, str]:
    return shapes.account(Account.objects.get(pk=account_id), base=base)
