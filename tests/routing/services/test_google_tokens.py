"""Tokens for Vertex AI: exchanged over a real socket, kept for their life, and never twice at once."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from routing.adapters.base import Target
from routing.adapters.registry import adapter_for
from routing.canonical import UpstreamError
from routing.ingress import openai_chat
from routing.services.google_tokens import GoogleTokens
from routing.simulation.server import serving

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
BASE = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google"


class Exchange:
    """Google's side: checks the word's signature and gives numbered tokens."""

    def __init__(self) -> None:
        self.words: list[dict[str, Any]] = []
        self.refuses = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        form = parse_qs((await receive())["body"].decode())
        said, _, signature = form["assertion"][0].rpartition(".")
        KEY.public_key().verify(_bytes(signature), said.encode(), padding.PKCS1v15(), hashes.SHA256())
        self.words.append(json.loads(_bytes(said.partition(".")[2])))
        answer: dict[str, Any] = {"access_token": f"ya29.{len(self.words)}", "expires_in": 3_599}
        if self.refuses:
            answer = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        start: dict[str, Any] = {"type": "http.response.start", "status": 400 if self.refuses else 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def target(exchange: Exchange, settings: Any) -> Any:
    with serving(exchange) as port:
        settings.PRIVATE_ORIGINS = frozenset({f"127.0.0.1:{port}"})
        uri = f"http://127.0.0.1:{port}/token"
        account = {"client_email": "me@p.iam.gserviceaccount.com", "private_key": PEM, "token_uri": uri}
        yield Target(BASE, "gemini-3-flash", {"service_account": json.dumps(account)})


async def test_many_at_once_wait_for_one_exchange_and_the_adapter_sends_the_token(
    exchange: Exchange, target: Target
) -> None:
    tokens = GoogleTokens(clock=lambda: 1_790_000_000.0)
    found = await asyncio.gather(*(tokens.authorised(target) for _ in range(20)))
    assert {one.credentials["access_token"] for one in found} == {"ya29.1"}
    (word,) = exchange.words
    assert (word["iss"], word["iat"], word["exp"]) == ("me@p.iam.gserviceaccount.com", 1_790_000_000, 1_790_003_600)
    request = openai_chat.parse(b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
    built = adapter_for("gemini").build(request, target=found[0], stream=True, max_tokens=5)
    assert built.url == f"{BASE}/models/gemini-3-flash:streamGenerateContent?alt=sse"
    assert ("authorization", "Bearer ya29.1") in built.headers
    assert "PRIVATE KEY" not in str(built)


async def test_a_token_is_renewed_before_it_ends(exchange: Exchange, target: Target) -> None:
    now = 1_000.0
    tokens = GoogleTokens(clock=lambda: now)
    for later, expected in [(0, "ya29.1"), (3_400, "ya29.1"), (3_500, "ya29.2")]:
        now = 1_000.0 + later
        assert (await tokens.authorised(target)).credentials["access_token"] == expected


async def test_a_refusal_is_the_providers_and_another_endpoint_may_serve(exchange: Exchange, target: Target) -> None:
    exchange.refuses = True
    with pytest.raises(UpstreamError, match="Invalid JWT Signature") as caught:
        await GoogleTokens().authorised(target)
    assert (caught.value.kind, caught.value.retryable) == ("auth", True)


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ("not json", "client_email"),
        (json.dumps({"client_email": "a@b", "private_key": "-----BEGIN"}), "cannot be read"),
        (
            json.dumps({"client_email": "a@b", "private_key": PEM, "token_uri": "http://169.254.169.254/token"}),
            "link-local",
        ),
    ],
)
async def test_what_is_no_account_and_where_none_may_be_asked(account: str, message: str) -> None:
    with pytest.raises(UpstreamError, match=message) as caught:
        await GoogleTokens().authorised(Target(BASE, "gemini-3-flash", {"service_account": account}))
    assert caught.value.kind == "auth"
    assert "PRIVATE" not in caught.value.message


async def test_a_plain_key_is_left_alone() -> None:
    target = Target(BASE, "gemini-3-flash", {"api_key": "k"})
    assert await GoogleTokens().authorised(target) is target
