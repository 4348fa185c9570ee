"""GET models, model, endpoints, providers: the catalogue, open to all; a key adds the account's private models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.http.response import HttpResponseBase

from marketplace.api.described import COUNT, TEXT, Described, Schema
from marketplace.lib import pool
from marketplace.lib.errors import InvalidRequest
from marketplace.services import browse
from marketplace.services.browse import Filter, Listing
from routing.api import shapes
from routing.api.base import View, answer

MOST: Final = 1_000
SORTS: Final = {
    "newest": "newest",
    "pricing-low-to-high": "price",
    "pricing-high-to-low": "price",
    "context-high-to-low": "context",
}
_FILTERS: Final[dict[str, Schema]] = {
    "q": TEXT,
    "supported_parameters": TEXT,
    "input_modalities": TEXT,
    "output_modalities": TEXT,
    "providers": TEXT,
    "context": COUNT,
    "sort": {"enum": list(SORTS)},
}


class Models(View):
    """GET /models."""

    described: Final = {"get": Described(query=_FILTERS | {"offset": COUNT, "limit": COUNT}, is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """The models that match, each once."""
        account_id = await self.account_or_none(request)
        query: Mapping[str, str] = request.GET
        found = await pool.run(_matching, query, account_id)
        offset, limit = _number(query, "offset", 0, 10**9), _number(query, "limit", MOST, MOST)
        rows = [shapes.model(listing) for listing in found[offset : offset + limit]]
        return answer({"data": rows, "total_count": len(found), "links": {"next": None}})


class ModelsCount(View):
    """GET /models/count."""

    described: Final = {"get": Described(query=_FILTERS, is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """How many models match."""
        account_id = await self.account_or_none(request)
        return answer({"data": {"count": len(await pool.run(_matching, request.GET, account_id))}})


class OneModel(View):
    """GET /model/{author}/{slug}."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any, author: str, slug: str) -> HttpResponseBase:
        """One model. Raises NotFound."""
        account_id = await self.account_or_none(request)
        found = await pool.run(browse.model, full_slug=f"{author}/{slug}", account_id=account_id)
        return answer({"data": shapes.model(found)})


class ModelEndpoints(View):
    """GET /models/{author}/{slug}/endpoints."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any, author: str, slug: str) -> HttpResponseBase:
        """Where the model is served, and for how much. Raises NotFound."""
        account_id = await self.account_or_none(request)
        found = await pool.run(browse.model, full_slug=f"{author}/{slug}", account_id=account_id)
        return answer({"data": shapes.endpoints(found)})


class Providers(View):
    """GET /providers."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """Everyone who runs endpoints."""
        return answer({"data": [shapes.provider(row) for row in await pool.run(browse.providers)]})


def _matching(query: Mapping[str, str], account_id: int | None) -> list[Listing]:
    wanted = _words(query, "supported_parameters")
    outputs = _words(query, "output_modalities") or frozenset({"text"})
    order = query.get("sort", "newest")
    if order not in SORTS:
        raise InvalidRequest(f"'sort' must be one of {', '.join(SORTS)}.", metadata={"field": "sort"})
    narrowed = Filter(
        text=query.get("q", ""),
        inputs=_words(query, "input_modalities"),
        outputs=frozenset() if "all" in outputs else outputs,
        provider=query.get("providers", ""),
        least_context=_number(query, "context", 0, 10**9) or None,
        sort=SORTS[order],
    )
    found = [
        listing
        for listing in browse.narrow(browse.models(account_id=account_id), narrowed=narrowed)
        if listing.offers and wanted <= {name for offer in listing.offers for name in offer.endpoint.parameters}
    ]
    return found[::-1] if order == "pricing-high-to-low" else found


def _words(query: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(word for word in query.get(name, "").split(",") if word)


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) > most:
        raise InvalidRequest(f"'{name}' must be a whole number up to {most}.", metadata={"field": name})
    return int(text)
