"""GET models, model, endpoints, providers: the catalogue, open to all; a key adds the account's private models.

Answers carry an ETag, so that a client which asks again is told in a few bytes that nothing changed. What anybody
may see may be kept for a minute by anybody; what a key opened only by who sent the key.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from marketplace.api.described import Described
from marketplace.lib import pool
from marketplace.services import browse
from marketplace.services.browse import Listing
from marketplace.views import snippets
from routing.api import catalogue_query, feed, shapes
from routing.api.base import View, plain
from routing.services import catalogue, measured

JSON: Final = "application/json"
RSS: Final = "application/rss+xml; charset=utf-8"
KEPT_SECONDS: Final = 60


class Models(View):
    """GET /models."""

    described: Final = {
        "get": Described(query=catalogue_query.FILTERS | catalogue_query.PAGES | catalogue_query.FEED, is_open=True)
    }

    async def get(self, request: Any) -> HttpResponseBase:
        """The models that match, each once; as RSS feed with use_rss=true."""
        account_id = await self.account_or_none(request)
        found = await _matching(request, account_id)
        if request.GET.get("use_rss") == "true":
            to_chat = request.GET.get("use_rss_chat_links") == "true"
            text = feed.write(found, site_url=snippets.site_url(plain(request)), to_chat=to_chat)
            return tagged(request, text.encode(), kind=RSS, is_private=account_id is not None)
        return tagged(request, _listed(request, found), is_private=account_id is not None)


class ModelsOfUser(View):
    """GET /models/user."""

    described: Final = {"get": Described(query=catalogue_query.FILTERS | catalogue_query.PAGES)}

    async def get(self, request: Any) -> HttpResponseBase:
        """The models that the caller's key may use."""
        caller = await self.caller(request)
        wanted, sort = catalogue_query.wanted(request.GET), catalogue_query.sort(request.GET)
        found = await pool.run(catalogue.models_of, caller, wanted=wanted, sort=sort)
        return tagged(request, _listed(request, found), is_private=True)


class ModelsCount(View):
    """GET /models/count."""

    described: Final = {"get": Described(query=catalogue_query.FILTERS, is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """How many models match."""
        account_id = await self.account_or_none(request)
        found = await _matching(request, account_id)
        return tagged(request, {"data": {"count": len(found)}}, is_private=account_id is not None)


class EmbeddingModels(View):
    """GET /embeddings/models."""

    described: Final = {"get": Described(query=catalogue_query.PAGES, is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """The models that make embeddings."""
        account_id = await self.account_or_none(request)
        wanted = catalogue_query.wanted({"output_modalities": "embeddings"})
        found = await pool.run(catalogue.models, account_id=account_id, wanted=wanted, sort="newest")
        return tagged(request, _listed(request, found), is_private=account_id is not None)


class OneModel(View):
    """GET /model/{author}/{slug}."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any, author: str, slug: str) -> HttpResponseBase:
        """One model. Raises NotFound."""
        account_id = await self.account_or_none(request)
        name = f"{author}/{slug}"
        found = await pool.run(catalogue.model, full_slug=name, account_id=account_id)
        return tagged(request, {"data": shapes.aliased(found, asked=name)}, is_private=account_id is not None)


class ModelOfList(OneModel):
    """GET /models/{author}/{slug}, which OpenAI's clients ask for (`models.retrieve`)."""

    async def get(self, request: Any, author: str, slug: str) -> HttpResponseBase:
        """One model, as OpenAI's clients read one: without an envelope. Raises NotFound."""
        account_id = await self.account_or_none(request)
        name = f"{author}/{slug}"
        found = await pool.run(catalogue.model, full_slug=name, account_id=account_id)
        body = shapes.aliased(found, asked=name) | {"object": "model", "owned_by": author.removeprefix("~")}
        return tagged(request, body, is_private=account_id is not None)


class ModelEndpoints(View):
    """GET /models/{author}/{slug}/endpoints."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any, author: str, slug: str) -> HttpResponseBase:
        """Where the model is served, and for how much. Raises NotFound."""
        account_id = await self.account_or_none(request)
        found = await pool.run(catalogue.model, full_slug=f"{author}/{slug}", account_id=account_id)
        known = account_id is not None
        seen = measured.of([offer.endpoint.pk for offer in found.offers])
        return tagged(request, {"data": shapes.endpoints(found, measured=seen, is_known=known)}, is_private=known)


class Providers(View):
    """GET /providers."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """Everyone who runs endpoints."""
        return tagged(request, {"data": [shapes.provider(row) for row in await pool.run(browse.providers)]})


class ZdrEndpoints(View):
    """GET /endpoints/zdr."""

    described: Final = {"get": Described(is_open=True)}

    async def get(self, request: Any) -> HttpResponseBase:
        """The endpoints that keep nothing of what they are sent."""
        found = await pool.run(catalogue.zdr_offers)
        return tagged(request, {"data": [shapes.endpoint(listing, offer) for listing, offer in found]})


def tagged(request: Any, data: Any, *, kind: str = JSON, is_private: bool = False) -> HttpResponseBase:
    """Bytes, or data as JSON, with an ETag; 304 without a body where the caller has it already."""
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    response = HttpResponse(body, content_type=kind)
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = etag
    response.headers["Vary"] = "Authorization, X-Api-Key"
    response.headers["Cache-Control"] = "private, no-cache" if is_private else f"public, max-age={KEPT_SECONDS}"
    found = get_conditional_response(plain(request), etag=etag, response=response)
    return found or response


async def _matching(request: Any, account_id: int | None) -> list[Listing]:
    wanted, sort = catalogue_query.wanted(request.GET), catalogue_query.sort(request.GET)
    return await pool.run(catalogue.models, account_id=account_id, wanted=wanted, sort=sort)


def _listed(request: Any, found: list[Listing]) -> dict[str, Any]:
    page = catalogue_query.page(request.GET)
    end = len(found) if page.limit is None else page.offset + page.limit
    following = None
    if end < len(found):
        query = request.GET.dict() | {"offset": end, "limit": page.limit}
        following = f"{request.path}?{urlencode(query)}"
    rows = [shapes.model(listing) for listing in found[page.offset : end]]
    return {"data": rows, "total_count": len(found), "links": {"next": following}}
