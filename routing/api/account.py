"""GET generation, key, credits: what the caller has used."""

from __future__ import annotations

from typing import Any, Final

from django.http.response import HttpResponseBase

from billing.services import budgets, ledger, usage
from marketplace.api import auth
from marketplace.api.described import TEXT, Described
from marketplace.lib import ids, pool
from marketplace.lib.errors import InvalidRequest, NotFound
from marketplace.models import ApiKey
from marketplace.services.keys import Caller
from routing.api import shapes
from routing.api.base import View, answer, plain
from routing.ingress.openai_chat_answers import dollars
from routing.models import Generation


class OneGeneration(View):
    """GET /generation?id=gen-…"""

    described: Final = {"get": Described(query={"id": TEXT}, needed=frozenset({"id"}))}

    async def get(self, request: Any) -> HttpResponseBase:
        """One of the account's generations. Raises NotFound."""
        caller = await self.caller(request)
        text = request.GET.get("id", "")
        if not text:
            raise InvalidRequest("Name the generation: ?id=gen-….", metadata={"field": "id"})
        return answer({"data": await pool.run(_generation, caller.account_id, text)})


class Key(View):
    """GET /key."""

    async def get(self, request: Any) -> HttpResponseBase:
        """The calling key: its limit, what is left of it, what it has used."""
        return answer({"data": await pool.run(_key, await auth.caller(plain(request), scope=None))})


class Credits(View):
    """GET /credits."""

    async def get(self, request: Any) -> HttpResponseBase:
        """What the account ever had, and what of it is used."""
        caller = await auth.caller(plain(request), scope=None)
        return answer({"data": await pool.run(_credits, caller.account_id)})


def _generation(account_id: int, text: str) -> dict[str, Any]:
    try:
        generation_id = ids.parse_generation_id(text)
    except ValueError:
        raise NotFound(f"There is no generation {text[:100]}.") from None
    mine = Generation.objects.for_account(account_id).select_related("provider").prefetch_related("attempts")
    row = mine.filter(pk=generation_id).first()
    if row is None:
        raise NotFound(f"There is no generation {text[:100]}.")
    return shapes.generation(row)


def _key(caller: Caller) -> dict[str, Any]:
    key = ApiKey.objects.get(pk=caller.key_id)
    spent = usage.of_key(key)
    byok = usage.byok_of_keys(account_id=key.account_id, key_ids=[key.pk])[key.pk]
    left = budgets.remaining(key)
    return {
        "label": key.label,
        "name": key.name,
        "limit": None if key.limit_nano is None else dollars(key.limit_nano),
        "limit_remaining": None if left is None else dollars(left),
        "limit_reset": key.limit_reset or None,
        "include_byok_in_limit": False,
        "usage": dollars(spent.total),
        "usage_daily": dollars(spent.daily),
        "usage_weekly": dollars(spent.weekly),
        "usage_monthly": dollars(spent.monthly),
        "byok_usage": dollars(byok.total),
        "byok_usage_daily": dollars(byok.daily),
        "byok_usage_weekly": dollars(byok.weekly),
        "byok_usage_monthly": dollars(byok.monthly),
        "is_free_tier": False,
        "is_management_key": ApiKey.Scope.MANAGEMENT in key.scopes,
        "is_provisioning_key": ApiKey.Scope.MANAGEMENT in key.scopes,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "creator_user_id": str(key.created_by_id) if key.created_by_id else None,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated: there is no limit of this kind."},
    }


def _credits(account_id: int) -> dict[str, Any]:
    used = usage.spent(account_id=account_id)
    balance = ledger.wallet_of(account_id).balance_nano
    return {"total_credits": dollars(balance + used), "total_usage": dollars(used)}
