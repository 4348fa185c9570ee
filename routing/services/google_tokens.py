"""Access tokens for Google's Vertex AI: a service account's signed word exchanged for an hour's key.

The adapter stays pure: it finds the token among the credentials. The address of the exchange stands in the
account's JSON, which an operator gave, so it is called through the guarded client.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings

from marketplace.lib import http
from marketplace.lib.addresses import Refused
from routing.adapters.base import Target
from routing.canonical import UpstreamError

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105  an address, no secret
LIFETIME: Final = 3_600  # seconds that the word is good for; the most that is admitted
EARLY: Final = 120  # seconds before its end a token is no longer used
EXCHANGE_SECONDS: Final = 10.0
ANSWER_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Token:
    """A key and when it stops being used, by our clock."""

    value: str
    until: float


class GoogleTokens:
    """Keeps one token for each service account; those who need it at the same time wait for one exchange."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: dict[str, Token] = {}
        self._exchanges: dict[str, asyncio.Task[Token]] = {}

    async def authorised(self, target: Target) -> Target:
        """The target with `access_token` among its credentials, where they hold a `service_account`.

        Raises UpstreamError(kind auth) for an account that cannot be read or that Google refuses.
        """
        account = target.credentials.get("service_account")
        if not account:
            return target
        token = self._known.get(account)
        if token is None or token.until <= self._clock():
            token = await self._exchanged(account)
        return replace(target, credentials={**target.credentials, "access_token": token.value})

    async def _exchanged(self, account: str) -> Token:
        task = self._exchanges.get(account)
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.ensure_future(self._exchange(account))
            self._exchanges[account] = task
        return await asyncio.shield(task)

    async def _exchange(self, account: str) -> Token:
        now = self._clock()
        email, key, uri = read_account(account)
        word = signed_word(email=email, key=key, audience=uri, now=int(now))
        form = {"grant_type": GRANT, "assertion": word}
        try:
            async with http.async_client(private_origins=settings.PRIVATE_ORIGINS, timeout=EXCHANGE_SECONDS) as client:
                answer = await client.post(uri, data=form)
        except (httpx.HTTPError, Refused) as error:
            raise _refused(f"Google's tokens could not be fetched: {error}") from None
        data = _object(answer.content)
        value, seconds = data.get("access_token"), data.get("expires_in")
        if answer.status_code != 200 or not isinstance(value, str) or not isinstance(seconds, int):
            said = data.get("error_description") or data.get("error") or f"status {answer.status_code}"
            raise _refused(f"Google gave no token for the service account: {str(said)[:200]}")
        token = Token(value, now + seconds - EARLY)
        self._known[account] = token
        return token


def read_account(account: str) -> tuple[str, rsa.RSAPrivateKey, str]:
    """(email, key, address of the exchange) of a service account's JSON. Raises UpstreamError(kind auth)."""
    data = _object(account.encode())
    email, pem, uri = data.get("client_email"), data.get("private_key"), data.get("token_uri") or TOKEN_URI
    if not isinstance(email, str) or not isinstance(pem, str) or not isinstance(uri, str):
        raise _refused("The service account must be Google's JSON, with client_email and private_key")
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise _refused("The service account's private_key cannot be read") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _refused("The service account's private_key is no RSA key")
    return email, key, uri


def signed_word(*, email: str, key: rsa.RSAPrivateKey, audience: str, now: int) -> str:
    """The JWT that is exchanged: RS256, good for an hour from `now` (seconds since 1970)."""
    claims = {"iss": email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + LIFETIME}
    said = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{said}.{_text(key.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _part(data: Mapping[str, Any]) -> str:
    return _text(json.dumps(data, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data[:ANSWER_MAX])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(what: str) -> UpstreamError:
    return UpstreamError(f"{what}.", kind="auth", retryable=True)


TOKENS: Final = GoogleTokens()
