"""Signature version 4, by botocore's hand but with our clock: the time comes in as an argument."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from routing.adapters.base import Headers, Target
from routing.canonical import UpstreamError

SERVICE: Final = "bedrock"
_REGION: Final = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


def signer(url: str, body: bytes, target: Target) -> Callable[[datetime], Headers] | None:
    """What signs this request for a moment (UTC); None without credentials. Raises UpstreamError without a region."""
    given = target.credentials
    key_id, secret, token = given.get("access_key_id"), given.get("secret_access_key"), given.get("session_token")
    if not key_id or not secret:
        return None
    named = _REGION.search(target.base_url)
    region = given.get("region") or (named[1] if named else None)
    if region is None:
        raise UpstreamError(
            "The provider's region is not known: its credentials must name it.", kind="auth", retryable=True
        )
    auth = SigV4Auth(Credentials(key_id, secret, token), SERVICE, region)

    def sign(now: datetime) -> Headers:
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        dated: Headers = (("x-amz-date", moment), *((("x-amz-security-token", token),) if token else ()))
        request = AWSRequest("POST", url, dict(dated) | {"content-type": "application/json"}, body)
        request.context["timestamp"] = moment
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        signed = auth.signed_headers(auth.headers_to_sign(request))
        words = f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={signed}, Signature={signature}"
        return (*dated, ("authorization", words))

    return sign
