"""GET /metrics, for Prometheus: to whoever has the token, or from this machine alone where there is none."""

import hmac
import ipaddress
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

from marketplace.lib import pool
from routing.services import metrics as told

# Who comes by way of a proxy on this machine comes from elsewhere.
PROXIED: Final = ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via", "X-Forwarded-Host")


async def metrics(request: HttpRequest) -> HttpResponse:
    """Everything in Prometheus's text format; 401 without the token, 404 from elsewhere where there is none."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
            refusal = HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=401, content_type="text/plain")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
    elif not _is_from_here(request):
        raise Http404("metrics")
    return HttpResponse(await pool.run(told.expose), content_type=CONTENT_TYPE)


def _is_from_here(request: HttpRequest) -> bool:
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return address.is_loopback and not any(name in request.headers for name in PROXIED)
