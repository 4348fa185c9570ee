"""/v1/models/{owner}/{name}/builds and /v1/builds: publishing a version, and how its build goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, JsonResponse

from execution.api import pages, shapes
from execution.api.edge import View, answer, hop, plain, read_json
from execution.models import Build
from execution.services import builds, listings, publishing
from execution.services.publishing import Listing
from marketplace.lib.errors import Forbidden, InvalidRequest
from marketplace.models import Account
from marketplace.services import accounts

PAGE: Final = 25
TEXTS: Final = ("description", "hardware", "visibility")


class Builds(View):
    """A model's builds."""

    async def get(self, request: Any, owner: str, name: str) -> JsonResponse:
        """A page of those of one's own model, newest first, without their logs."""
        caller = await self.caller(request)
        return answer(await hop(_page, plain(request), owner, name, caller.account_id))

    async def post(self, request: Any, owner: str, name: str) -> JsonResponse:
        """Publish {"upload": id}, {"git": {"url", "ref"}} or {"image": {"reference", "username", "password"}}.

        `description`, `hardware` and `visibility` count where the model is new.
        """
        caller = await self.caller(request)
        return answer(await hop(_publish, plain(request), owner, name, caller.account_id), status=201)


class OneBuild(View):
    """One build."""

    async def get(self, request: Any, build_id: str) -> JsonResponse:
        """With its log, and its version once there is one."""
        caller = await self.caller(request)
        row = await hop(builds.find, account_id=caller.account_id, build_id=build_id)
        return answer({**shapes.build(row), "logs": row.log})


class CancelBuild(View):
    """The end of a build before its end."""

    async def post(self, request: Any, build_id: str) -> JsonResponse:
        """Stop it; one that is over stays what it is."""
        caller = await self.caller(request)
        row = await hop(builds.cancel, account_id=caller.account_id, build_id=build_id)
        return answer({**shapes.build(row), "logs": row.log})


def _page(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    model = listings.own(account_id=account_id, owner=owner, name=name)
    rows = Build.objects.for_account(account_id).filter(model=model).select_related("model__publisher").defer("log")
    return pages.page(rows, request=request, size=PAGE, show=lambda found: [shapes.build(row) for row in found])


def _publish(request: HttpRequest, owner: str, name: str, account_id: int) -> dict[str, Any]:
    given = read_json(request)
    account = Account.objects.get(pk=account_id)
    if owner != (own := accounts.publisher_of(account=account).slug):
        raise Forbidden(f"With this key versions are published for the owner {own}; {owner} is another.")
    texts = {field: given[field] for field in TEXTS if given.get(field)}
    listing = Listing(slug=name, **_texts(texts))
    ways = [way for way in ("upload", "git", "image") if way in given]
    match (*ways, *(given[way] for way in ways)):
        case ("upload", str(upload_id)):
            row = publishing.publish_upload(account=account, listing=listing, upload_id=upload_id)
        case ("git", {"url": str(url), **more}) if set(more) <= {"ref"}:
            row = publishing.publish_repository(account=account, listing=listing, url=url, **_texts(more))
        case ("image", {"reference": str(reference), **more}) if set(more) <= {"username", "password"}:
            row = publishing.publish_image(account=account, listing=listing, reference=reference, **_texts(more))
        case _:
            raise InvalidRequest(
                'Say what to build: {"upload": the id of a complete upload}, {"git": {"url", "ref"}} or '
                '{"image": {"reference", "username", "password"}}.'
            )
    return shapes.build(row)


def _texts(given: Mapping[Any, Any]) -> dict[str, str]:
    if wrong := [name for name, text in given.items() if not isinstance(text, str)]:
        raise InvalidRequest(f"`{wrong[0]}` is a text.")
    return dict(given)
