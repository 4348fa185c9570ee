"""Uploads in parts for the publishing form's own script: JSON, with the visitor's session and CSRF token."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_http_methods, require_POST

from execution.services import uploads
from marketplace.lib.errors import AppError, InvalidRequest
from marketplace.views.visitor import Visitor, signed_in


def _as_json(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Errors as JSON: {"message", …what the script needs to go on}."""

    @wraps(view)
    def wrapped(request: HttpRequest, visitor: Visitor, *args: str, **kwargs: str) -> HttpResponseBase:
        try:
            return view(request, visitor, *args, **kwargs)
        except AppError as error:
            return JsonResponse({"message": error.message, **error.metadata}, status=error.status)

    return wrapped


@require_POST
@signed_in
@_as_json
def begin(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Announce an archive."""
    try:
        given = json.loads(request.body)
        name, size = given["name"], given["size"]
    except (ValueError, TypeError, KeyError):
        raise InvalidRequest('Say what comes: {"name": "model.zip", "size": bytes}.') from None
    return JsonResponse(uploads.describe(uploads.begin(account=visitor.account, name=name, size=size)), status=201)


@require_http_methods(["GET", "PUT", "DELETE"])
@signed_in
@_as_json
def one(request: HttpRequest, visitor: Visitor, upload_id: str) -> HttpResponse:
    """Where an upload stands; its next part; its end."""
    row = uploads.find(account_id=visitor.account.pk, upload_id=upload_id)
    match request.method:
        case "PUT":
            row = uploads.append(
                account_id=visitor.account.pk,
                upload_id=upload_id,
                offset=request.headers.get("Upload-Offset", ""),
                content=request.body,
                digest=request.headers.get("Content-Digest", ""),
            )
        case "DELETE":
            uploads.remove(row)
    return JsonResponse(uploads.describe(row))


@require_POST
@signed_in
@_as_json
def complete(request: HttpRequest, visitor: Visitor, upload_id: str) -> HttpResponse:
    """Put the parts together; the script has sent a digest with each where the browser could make one."""
    try:
        sha256 = json.loads(request.body or b"{}").get("sha256", "")
    except (ValueError, AttributeError):
        raise InvalidRequest("The body is not a JSON object.") from None
    row = uploads.complete(account_id=visitor.account.pk, upload_id=upload_id, sha256=sha256)
    return JsonResponse(uploads.describe(row))
