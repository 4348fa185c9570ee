"""Links that open one thing without a header, for as long as they say: signed by this site, for one purpose each."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

from django.conf import settings
from django.utils import timezone

from marketplace.lib.errors import Forbidden


def _signature(purpose: str, owner: str, object_id: str, expiry: int) -> str:
    key = hashlib.sha256(f"turnpike.{purpose}:{settings.SECRET_KEY}".encode()).digest()
    return base64.b64encode(hmac.digest(key, f"{owner} {object_id} {expiry}".encode(), "sha256")).decode()


def sign(*, purpose: str, owner: int, object_id: str, until: dt.datetime) -> str:
    """The query of a link to the owner's object."""
    expiry = int(until.timestamp())
    signature = _signature(purpose, str(owner), object_id, expiry)
    return urlencode({"owner": owner, "expiry": expiry, "signature": signature})


def check(*, purpose: str, object_id: str, asked: Mapping[str, str], now: dt.datetime | None = None) -> int:
    """The owner's account id, when the query was signed for this object and its time is not over. Raises Forbidden."""
    now = now or timezone.now()
    owner = asked.get("owner", "")
    try:
        until = int(asked.get("expiry", ""))
        given = base64.b64decode(asked.get("signature", ""), validate=True)
    except (ValueError, binascii.Error):
        raise Forbidden("The signature of this link is not valid.") from None
    if not hmac.compare_digest(given, base64.b64decode(_signature(purpose, owner, object_id, until))):
        raise Forbidden("The signature of this link is not valid.")
    if until <= now.timestamp():
        raise Forbidden("This link has expired: get the object that showed it again for a fresh one.")
    return int(owner)
