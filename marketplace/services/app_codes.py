"""Consent codes of apps: issued once a user agrees, exchanged once for a key."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.db import transaction
from django.utils import timezone

from marketplace.lib import ids
from marketplace.lib.errors import Forbidden, InvalidRequest
from marketplace.models import Account, ApiKey, AppCode, User
from marketplace.services import keys

LIFETIME: Final = dt.timedelta(minutes=10)
KEPT: Final = dt.timedelta(days=1)
CODE_LENGTH: Final = 32
HOSTS_BY_HTTP: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_CHALLENGE: Final = {"S256": re.compile(r"[A-Za-z0-9_-]{43}"), "plain": re.compile(r"[A-Za-z0-9._~-]{43,128}")}
_REFUSED: Final = "This code is not valid: it was exchanged already, is older than ten minutes, or was never given."


@dataclass(frozen=True, slots=True)
class Wish:
    """What an app asks for, checked."""

    callback_url: str
    challenge: str
    method: str

    @property
    def app(self) -> str:
        """Who asks, as people know it: the host that the code goes to."""
        return urlsplit(self.callback_url).netloc or "A program on your computer"

    @property
    def origin(self) -> str:
        """Where the browser is sent, for the page's policy; empty where the code is shown instead."""
        parts = urlsplit(self.callback_url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def wish(*, callback_url: str, challenge: str, method: str) -> Wish:
    """What an app asks for. Raises InvalidRequest, saying what the app must change."""
    if callback_url:
        _check_callback(callback_url)
    elif not challenge:
        raise InvalidRequest(
            "Give a callback_url, or a code_challenge: without both nobody could prove whose code it is.",
            metadata={"field": "callback_url"},
        )
    if challenge or method:
        method = method or AppCode.Method.PLAIN
        if method not in _CHALLENGE:
            raise InvalidRequest(
                "'code_challenge_method' is S256 or plain.", metadata={"field": "code_challenge_method"}
            )
        if not _CHALLENGE[method].fullmatch(challenge):
            form = "43 characters of base64url" if method == "S256" else "43 to 128 letters, digits or -._~"
            raise InvalidRequest(
                f"'code_challenge' by {method} is {form} (RFC 7636).", metadata={"field": "code_challenge"}
            )
    return Wish(callback_url, challenge, method)


def issue(
    *,
    account: Account,
    user: User | None,
    wish: Wish,
    key_name: str = "",
    limit_nano: int | None = None,
    limit_reset: str = "",
    key_expires_at: dt.datetime | None = None,
) -> tuple[AppCode, str]:
    """Give a code for a key to be made; returns its row and the code, which is not kept anywhere.

    Raises InvalidRequest for an expiry in the past.
    """
    now = timezone.now()
    if key_expires_at is not None and key_expires_at <= now:
        raise InvalidRequest("'expires_at' is over already: choose a time to come.", metadata={"field": "expires_at"})
    AppCode.objects.filter(account=account, expires_at__lt=now - KEPT).delete()
    code = ids.random_token(CODE_LENGTH)
    row = AppCode.objects.create(
        account=account,
        user=user,
        digest=keys.digest(code),
        callback_url=wish.callback_url,
        challenge=wish.challenge,
        method=wish.method,
        key_name=(key_name.strip() or wish.app)[:100],
        limit_nano=limit_nano,
        limit_reset=limit_reset,
        key_expires_at=key_expires_at,
        expires_at=now + LIFETIME,
    )
    return row, code


def callback(*, wish: Wish, **answer: str) -> str:
    """Where the browser goes with the answer: the callback's own query stays."""
    parts = urlsplit(wish.callback_url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *answer.items()])
    return urlunsplit(parts._replace(query=query))


def exchange(*, code: str, verifier: str, method: str | None) -> tuple[ApiKey, str]:
    """A key for a code and the verifier behind its challenge, once.

    A code that comes a second time was overheard: its key is disabled. Raises InvalidRequest for an unknown
    method, Forbidden for everything that is wrong with the code or the verifier.
    """
    if method not in (None, "", *_CHALLENGE):
        raise InvalidRequest("'code_challenge_method' is S256 or plain.", metadata={"field": "code_challenge_method"})
    row = AppCode.objects.filter(digest=keys.digest(code)).select_related("account", "user").first()
    if row is None:
        raise Forbidden(_REFUSED)
    if row.used_at is not None:
        if row.key_id is not None:
            ApiKey.objects.filter(pk=row.key_id).update(disabled=True)
        raise Forbidden(_REFUSED)
    if row.expires_at <= timezone.now():
        raise Forbidden(_REFUSED)
    if not _proves(row, verifier, method or row.method):
        raise Forbidden("The code_verifier does not belong to this code's code_challenge.")
    with transaction.atomic():
        if not AppCode.objects.filter(pk=row.pk, used_at=None).update(used_at=timezone.now()):
            raise Forbidden(_REFUSED)
        key, plaintext = keys.issue(
            account=row.account,
            created_by=row.user,
            name=row.key_name,
            limit_nano=row.limit_nano,
            limit_reset=row.limit_reset,
            expires_at=row.key_expires_at,
        )
        AppCode.objects.filter(pk=row.pk).update(key=key)
    return key, plaintext


def _proves(row: AppCode, verifier: str, method: str) -> bool:
    if not row.challenge:
        return True
    if method != row.method or not verifier.isascii():
        return False
    made = verifier
    if row.method == AppCode.Method.S256:
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return secrets.compare_digest(made, row.challenge)


def _check_callback(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_sound = bool(parts.hostname) and parts.username is None and not parts.fragment and (parts.port or 1) > 0
    except ValueError:
        is_sound = False
    by_http = is_sound and parts.scheme == "http" and parts.hostname in HOSTS_BY_HTTP
    is_clean = url.isascii() and url.isprintable() and " " not in url and "\\" not in url and len(url) <= 2000
    if not (is_sound and is_clean and (parts.scheme == "https" or by_http)):
        raise InvalidRequest(
            "'callback_url' is an https address (or http on localhost), without user or fragment.",
            metadata={"field": "callback_url"},
        )
