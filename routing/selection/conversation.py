"""What names a conversation whose prompt may be cached: its own id, its cache key, or its opening messages."""

import hashlib

from routing.canonical import ChatRequest, Message, Text


def conversation_of(request: ChatRequest) -> bytes:
    """A name that the turns of one conversation share."""
    if request.session_id:
        return b"s:" + request.session_id.encode()
    cache_key = request.parameters.get("prompt_cache_key")
    if isinstance(cache_key, str) and cache_key:
        return b"k:" + cache_key.encode()
    said = hashlib.blake2b(digest_size=16)
    system = next((one for one in request.messages if one.role in {"system", "developer"}), None)
    opening = next((one for one in request.messages if one.role not in {"system", "developer"}), None)
    for message in (system, opening):
        said.update(_words(message) if message else b"")
        said.update(b"\0")
    return b"o:" + said.digest()


def _words(message: Message) -> bytes:
    return "\0".join(part.text if isinstance(part, Text) else repr(part)[:4_096] for part in message.parts).encode(
        errors="replace"
    )
