"""The playground's key, for the page's own script only."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from marketplace.lib.errors import Forbidden
from marketplace.services import playground
from marketplace.views.visitor import Visitor, signed_in


@require_POST
@signed_in
def playground_key(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The session's key as JSON; beside Django's CSRF token it wants our own Origin."""
    _require_own_origin(request)
    key = playground.key_for(user=visitor.user, account=visitor.account, session=request.session)
    return JsonResponse({"key": key.plaintext, "expires_at": key.expires_at.isoformat()})


def _require_own_origin(request: HttpRequest) -> None:
    # Browsers send Origin with every POST; a script without one has no business here.
    origin = urlsplit(request.headers.get("Origin", ""))
    if not origin.netloc or origin.netloc != request.get_host():
        raise Forbidden("The playground's key is given to this site's own pages only.")
