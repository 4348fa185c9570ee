"""The adapter for AWS Bedrock's Converse. `base_url`: https://bedrock-runtime.REGION.amazonaws.com.

Credentials: `api_key` (a Bedrock API key, sent as bearer); or `access_key_id` and `secret_access_key`, with
`session_token` for temporary ones and `region` where the address does not name it, for a SigV4 signature.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import orjson

from routing.adapters.base import HttpRequest, Target
from routing.adapters.bedrock.request import write_request
from routing.adapters.bedrock.response import read_answer, read_error
from routing.adapters.bedrock.signing import signer
from routing.adapters.bedrock.stream import BedrockStream
from routing.adapters.exchanges import bearer
from routing.canonical import ChatRequest, Chunk, UpstreamError


class BedrockConverse:
    """Speaks converse and converse-stream; the model is in the path."""

    kind = "bedrock_converse"

    def build(self, request: ChatRequest, *, target: Target, stream: bool, max_tokens: int | None) -> HttpRequest:
        """The provider's request; a signature is added when it is sent, because it holds the time."""
        body = orjson.dumps(write_request(request, upstream=target.upstream, max_tokens=max_tokens))
        method = "converse-stream" if stream else "converse"
        url = f"{target.base_url.rstrip('/')}/model/{quote(target.upstream, safe='')}/{method}"
        accept = "application/vnd.amazon.eventstream" if stream else "application/json"
        headers = (("content-type", "application/json"), ("accept", accept), *bearer(target))
        sign = None if target.credentials.get("api_key") else signer(url, body, target)
        return HttpRequest(url, headers, body, sign)

    def parse_answer(self, body: bytes) -> Chunk:
        """`{"output": {"message"}, "stopReason", "usage"}`."""
        return read_answer(body)

    def stream_parser(self) -> BedrockStream:
        """A reader of its binary frames."""
        return BedrockStream()

    def error(self, *, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """The refusal: its kind in the header x-amzn-errortype, its words in `{"message"}`."""
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = {}
        kind = headers.get("x-amzn-errortype", "").partition(":")[0]
        return read_error(data if isinstance(data, dict) else {}, kind=kind, status=status, headers=headers)


BEDROCK: Final = BedrockConverse()
