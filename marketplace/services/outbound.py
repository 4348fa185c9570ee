"""Sending a signed webhook to an address that a caller gave: one POST, and what is to be thought of its answer."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.conf import settings

from marketplace.lib import addresses, http, webhooks
from marketplace.lib.addresses import Refused


def refusal(url: str) -> str:
    """Why an address that is written out in a URL is never called; "" where it may be, or a name is yet to resolve."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        ip = "127.0.0.1" if host == "localhost" else str(ipaddress.ip_address(host))
    except ValueError:
        return ""
    try:
        addresses.check(host=host, port=port, addresses=(ip,), private_origins=settings.PRIVATE_ORIGINS)
    except Refused as error:
        return str(error)
    return ""


def post(
    *, url: str, content: bytes, secret: str, message_id: str, seconds: float, older: Sequence[str] = ()
) -> tuple[str, bool]:
    """What went wrong, "" when nothing did; and whether another try may help. Blocks, at most `seconds`.

    `older` are secrets that sign beside it while they are being replaced. The address is resolved, checked and
    connected to as checked (lib.http); redirects are not followed.
    """
    signed = webhooks.headers(
        secret=secret, older=older, message_id=message_id, timestamp=int(time.time()), content=content
    )
    try:
        status = http.post(
            url,
            content=content,
            headers={"content-type": "application/json", **signed},
            seconds=seconds,
            private_origins=settings.PRIVATE_ORIGINS,
        )
    except Refused as error:
        return f"not called: {error}", False
    except http.FetchFailed as error:
        return str(error), True
    return ("", False) if 200 <= status < 300 else (f"answered with status {status}", status != 410)
