"""API keys at the edge of both REST frameworks, over one `keys.authenticate`."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from marketplace.lib import pool
from marketplace.lib.errors import Unauthorized
from marketplace.services import keys
from marketplace.services.keys import Caller

_MISSING = "No API key: send the header 'Authorization: Bearer sk-tp-v1-…'."


def bearer(request: HttpRequest) -> str:
    """The key that a request carries: Authorization (Bearer or Token), x-api-key or x-goog-api-key."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in {"bearer", "token"} and value.strip():
        return value.strip()
    for name in ("X-Api-Key", "X-Goog-Api-Key"):
        if given := request.headers.get(name, "").strip():
            return given
    raise Unauthorized(_MISSING)


def caller_of(request: HttpRequest, *, scope: str | None, key: str | None = None) -> Caller:
    """The caller of a request, by `key` where the view found it elsewhere; None asks for no scope.

    Raises Unauthorized, or Forbidden without the scope.
    """
    found = keys.authenticate(key or bearer(request))
    if scope is not None:
        found.require(scope)
    return found


async def caller(request: HttpRequest, *, scope: str | None, key: str | None = None) -> Caller:
    """The same for an async view."""
    return await pool.run(caller_of, request, scope=scope, key=key)


class ApiKeyAuthentication(BaseAuthentication):
    """For synchronous DRF views: `request.auth` is the Caller; no key at all is anonymous."""

    def authenticate(self, request: Request) -> tuple[None, Caller] | None:
        """None without a key; raises Unauthorized for a wrong one."""
        try:
            key = bearer(request._request)
        except Unauthorized:
            return None
        return None, keys.authenticate(key)

    def authenticate_header(self, request: Request) -> str:
        """What a 401 names as the way in."""
        return "Bearer"
