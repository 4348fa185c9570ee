"""/v1/models and what lies below it, /v1/collections and /v1/search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse

from execution.api import pages, shapes
from execution.api.edge import View, answer, hop, plain, read_json
from execution.services import examples, listings, renderings, versions
from marketplace.lib.errors import InvalidRequest, NotFound
from marketplace.models import Account, Collection, Model, Version
from marketplace.services.nearby import no_such_model

PAGE: Final = 25
SEARCHED: Final = 20
MOST_SEARCHED: Final = 50
SORTS: Final = {"latest_version_created_at": "latest_at", "model_created_at": "created_at"}
DIRECTIONS: Final = ("desc", "asc")


class Models(View):
    """Hosted models."""

    http_method_names = (*View.http_method_names, "query")

    async def get(self, request: Any) -> JsonResponse:
        """A page of those that the caller may see."""
        caller = await self.caller(request)
        return answer(await hop(_models, plain(request), caller.account_id))

    async def post(self, request: Any) -> JsonResponse:
        """Make one; its versions come by uploads."""
        caller = await self.caller(request)
        return answer(await hop(_create, plain(request), caller.account_id), status=201)

    async def query(self, request: Any) -> JsonResponse:
        """Search: the body is the query, as plain text or as a JSON string."""
        caller = await self.caller(request)
        return answer(await hop(_found, plain(request), caller.account_id))


class OneModel(View):
    """One hosted model."""

    async def get(self, request: Any, owner: str, name: str) -> JsonResponse:
        """With its newest version."""
        caller = await self.caller(request)
        return answer(await hop(_model, owner, name, caller.account_id, shapes.base_of(plain(request))))

    async def patch(self, request: Any, owner: str, name: str) -> JsonResponse:
        """Change its texts and links, and which of its examples is the default one."""
        caller = await self.caller(request)
        return answer(await hop(_change, plain(request), owner, name, caller.account_id))

    async def delete(self, request: Any, owner: str, name: str) -> HttpResponse:
        """Remove one's own private model that has no versions."""
        caller = await self.caller(request)
        await hop(listings.delete, account_id=caller.account_id, owner=owner, name=name)
        return HttpResponse(status=204)


class Readme(View):
    """A model's long text."""

    async def get(self, request: Any, owner: str, name: str) -> HttpResponse:
        """As Markdown."""
        caller = await self.caller(request)
        row = await hop(listings.find, account_id=caller.account_id, owner=owner, name=name)
        if not row.readme:
            raise NotFound(f"{row.full_slug} has no README.")
        return HttpResponse(row.readme, content_type="text/plain; charset=utf-8")


class Examples(View):
    """Predictions that a model's publisher shows."""

    async def get(self, request: Any, owner: str, name: str) -> JsonResponse:
        """A page, newest first."""
        caller = await self.caller(request)
        return answer(await hop(_examples, plain(request), owner, name, caller.account_id))

    async def post(self, request: Any, owner: str, name: str) -> JsonResponse:
        """Show one's own finished prediction: {"prediction": id}."""
        caller = await self.caller(request)
        return answer(await hop(_show, plain(request), owner, name, caller.account_id), status=201)


class OneExample(View):
    """One example."""

    async def delete(self, request: Any, owner: str, name: str, prediction_id: str) -> HttpResponse:
        """Show it no longer; the prediction itself stays for as long as others do."""
        caller = await self.caller(request)
        model = await hop(listings.own, account_id=caller.account_id, owner=owner, name=name)
        await hop(examples.hide, model=model, prediction_id=prediction_id)
        return HttpResponse(status=204)


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

    async def delete(self, request: Any, owner: str, name: str, version_id: str) -> HttpResponse:
        """Take it out of use; its files go a little later."""
        caller = await self.caller(request)
        await hop(versions.delete, account_id=caller.account_id, owner=owner, name=name, version_id=version_id)
        return HttpResponse(status=202)


class Collections(View):
    """Models put together by staff."""

    async def get(self, request: Any) -> JsonResponse:
        """A page, without the models."""
        await self.caller(request)
        return answer(await hop(_collections, plain(request)))


class OneCollection(View):
    """One collection."""

    async def get(self, request: Any, slug: str) -> JsonResponse:
        """With those of its models that the caller may see."""
        caller = await self.caller(request)
        return answer(await hop(_collection, slug, caller.account_id, shapes.base_of(plain(request))))


class Search(View):
    """Everything at once."""

    async def get(self, request: Any) -> JsonResponse:
        """Models and collections that have every word of `query`."""
        caller = await self.caller(request)
        return answer(await hop(_search, plain(request), caller.account_id))


def _latest(model_ids: list[int]) -> dict[int, Version]:
    found: dict[int, Version] = {}
    for row in Version.objects.filter(model_id__in=model_ids).order_by("created_at"):
        found[row.model_id] = row
    return found


def _shown(rows: Sequence[Any], base: str) -> list[dict[str, Any]]:
    ids = [row.pk for row in rows]
    latest, shown = _latest(ids), examples.defaults(model_ids=ids)
    return [
        shapes.model(row, base=base, latest=latest.get(row.pk), run_count=row.run_count, example=shown.get(row.pk))
        for row in rows
    ]


def _models(request: HttpRequest, account_id: int) -> dict[str, Any]:
    column = SORTS.get(request.GET.get("sort_by") or next(iter(SORTS)))
    direction = request.GET.get("sort_direction") or DIRECTIONS[0]
    if column is None or direction not in DIRECTIONS:
        raise InvalidRequest(f"`sort_by` is {' or '.join(SORTS)}, `sort_direction` {' or '.join(DIRECTIONS)}.")
    base = shapes.base_of(request)
    rows = listings.listed(account_id=account_id)
    return pages.page(
        rows,
        request=request,
        size=PAGE,
        show=lambda found: _shown(found, base),
        by=column,
        ascending=direction == "asc",
    )


def _found(request: HttpRequest, account_id: int) -> dict[str, Any]:
    rows = listings.search(account_id=account_id, query=_query(request))
    return {"next": None, "previous": None, "results": _shown(list(rows[:PAGE]), shapes.base_of(request))}


def _query(request: HttpRequest) -> str:
    text = request.body.decode("utf-8", "replace").strip()
    if text.startswith('"'):  # two of the official clients send the text as JSON
        try:
            text = json.loads(text)
        except ValueError:
            raise InvalidRequest("The query is neither plain text nor a JSON string.") from None
    return text


def _create(request: HttpRequest, account_id: int) -> dict[str, Any]:
    made = listings.create(account=Account.objects.get(pk=account_id), given=read_json(request))
    return shapes.model(made, base=shapes.base_of(request), latest=None, run_count=0)


def _model(owner: str, name: str, account_id: int, base: str) -> dict[str, Any]:
    return _shown([listings.find(account_id=account_id, owner=owner, name=name)], base)[0]


def _change(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    given = read_json(request)
    with transaction.atomic():
        row = listings.change(account_id=account_id, owner=owner, name=name, given=given)
        if "default_example" in given:
            examples.choose(model=row, prediction_id=given["default_example"])
    return _shown([row], shapes.base_of(request))[0]


def _examples(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    rows = examples.listed(model=listings.find(account_id=account_id, owner=owner, name=name))
    base = shapes.base_of(request)
    return pages.page(
        rows, request=request, size=PAGE, show=lambda found: [renderings.example(row, base=base) for row in found]
    )


def _show(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    model = listings.own(account_id=account_id, owner=owner, name=name)
    row = examples.show(model=model, prediction_id=read_json(request).get("prediction"))
    return renderings.example(row, base=shapes.base_of(request))


def _versions(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    model = Model.objects.visible_to(account_id).named(f"{owner}/{name}").first()
    if model is None:
        raise no_such_model(f"{owner}/{name}", account_id=account_id)
    rows = Version.objects.filter(model=model)
    return pages.page(rows, request=request, size=PAGE, show=lambda found: [shapes.version(row) for row in found])


def _collections(request: HttpRequest) -> dict[str, Any]:
    return pages.page(
        Collection.objects.all(),
        request=request,
        size=PAGE,
        show=lambda found: [shapes.collection(row) for row in found],
    )


def _collection(slug: str, account_id: int, base: str) -> dict[str, Any]:
    row = Collection.objects.filter(slug=slug).first()
    if row is None:
        raise NotFound(f"There is no collection {slug}.")
    models = _shown(list(listings.listed(account_id=account_id).filter(collections=row)), base)
    long = {"full_description": row.full_description} if row.full_description else {}
    return {**shapes.collection(row), **long, "models": models}


def _search(request: HttpRequest, account_id: int) -> dict[str, Any]:
    query, most = request.GET.get("query", ""), request.GET.get("limit", str(SEARCHED))
    if not most.isdigit() or not 1 <= int(most) <= MOST_SEARCHED:
        raise InvalidRequest(f"`limit` is a number from 1 to {MOST_SEARCHED}.")
    rows = list(listings.search(account_id=account_id, query=query)[: int(most)])
    collections = Collection.objects.all()
    for word in query.split():
        collections = collections.filter(name__icontains=word)
    return {
        "query": query,
        "models": [
            {"model": shown, "metadata": {"generated_description": None, "tags": [], "score": None}}
            for shown in _shown(rows, shapes.base_of(request))
        ],
        "collections": [
            {**shapes.collection(row), "models": [one.full_slug for one in row.members.select_related("publisher")]}
            for row in collections[: int(most)]
        ],
        "pages": [],
    }
