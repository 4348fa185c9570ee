"""/v1/uploads: archives in parts, for publishing."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from execution.api.edge import View, answer, hop, plain, read_json
from execution.models import Upload
from execution.services import uploads
from marketplace.models import Account


class Uploads(View):
    """The account's uploads under way."""

    async def get(self, request: Any) -> JsonResponse:
        """All of them, newest first: there are at most a few."""
        caller = await self.caller(request)
        return answer({"results": await hop(_listed, caller.account_id)})

    async def post(self, request: Any) -> JsonResponse:
        """Announce one: {"name": "model.zip", "size": bytes}."""
        caller = await self.caller(request)
        return answer(await hop(_begin, plain(request), caller.account_id), status=201)


class OneUpload(View):
    """One upload."""

    async def get(self, request: Any, upload_id: str) -> JsonResponse:
        """Where it stands: `offset` is the byte to go on at."""
        caller = await self.caller(request)
        row = await hop(uploads.find, account_id=caller.account_id, upload_id=upload_id)
        return answer(uploads.describe(row))

    async def put(self, request: Any, upload_id: str) -> JsonResponse:
        """The next part, its bytes as the body, with Upload-Offset and, better, Content-Digest."""
        caller = await self.caller(request)
        return answer(await hop(_append, plain(request), caller.account_id, upload_id))

    async def delete(self, request: Any, upload_id: str) -> HttpResponse:
        """Forget it with its parts."""
        caller = await self.caller(request)
        await hop(_remove, caller.account_id, upload_id)
        return HttpResponse(status=204)


class CompleteUpload(View):
    """The end of an upload."""

    async def post(self, request: Any, upload_id: str) -> JsonResponse:
        """Put the parts together: {"sha256": of the whole}, which may be missing when every part had its digest."""
        caller = await self.caller(request)
        return answer(await hop(_complete, plain(request), caller.account_id, upload_id))


def _listed(account_id: int) -> list[dict[str, Any]]:
    return [uploads.describe(row) for row in Upload.objects.for_account(account_id)]


def _begin(request: HttpRequest, account_id: int) -> dict[str, Any]:
    given = read_json(request)
    account = Account.objects.get(pk=account_id)
    return uploads.describe(uploads.begin(account=account, name=given.get("name"), size=given.get("size")))


def _append(request: HttpRequest, account_id: int, upload_id: str) -> dict[str, Any]:
    row = uploads.append(
        account_id=account_id,
        upload_id=upload_id,
        offset=request.headers.get("Upload-Offset", ""),
        content=request.body,
        digest=request.headers.get("Content-Digest", ""),
    )
    return uploads.describe(row)


def _remove(account_id: int, upload_id: str) -> None:
    uploads.remove(uploads.find(account_id=account_id, upload_id=upload_id))


def _complete(request: HttpRequest, account_id: int, upload_id: str) -> dict[str, Any]:
    sha256 = read_json(request).get("sha256", "")
    return uploads.describe(uploads.complete(account_id=account_id, upload_id=upload_id, sha256=sha256))
