"""Where a conversation's prompt is cached: an economic term, since a cached token costs less and is read faster.

Nothing is pinned: when another endpoint costs less even so, the conversation moves.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

IDLE_SECONDS: Final = 600.0
MOST: Final = 100_000
FIRST_SHARE: Final = 0.8  # of the earlier prompt, expected to be found again until it was seen
RATE: Final = 0.4


@dataclass(slots=True)
class Sticky:
    """One conversation: the endpoint that answered last, how long its prompt was, what share is found again."""

    endpoint_id: int
    tokens: int
    share: float
    until: float


class Affinities:
    """The conversations of this process, the least recently used dropped first."""

    def __init__(self, *, most: int = MOST) -> None:
        self._known: OrderedDict[bytes, Sticky] = OrderedDict()
        self._most = most

    def of(self, key: bytes, *, now: float) -> Sticky | None:
        """Where the conversation's prompt is cached, if it still is."""
        found = self._known.get(key)
        if found is None:
            return None
        if now >= found.until:
            del self._known[key]
            return None
        return found

    def answered(self, key: bytes, *, endpoint_id: int, prompt_tokens: int, cached_tokens: int, now: float) -> None:
        """An endpoint answered: from now on it has the prompt; what it read from its cache teaches the share."""
        old = self._known.pop(key, None)
        share = FIRST_SHARE
        if old is not None and old.endpoint_id == endpoint_id and old.tokens:
            seen = min(1.0, cached_tokens / max(1, min(old.tokens, prompt_tokens)))
            share = old.share + RATE * (seen - old.share)
        self._known[key] = Sticky(endpoint_id, prompt_tokens, share, now + IDLE_SECONDS)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)


def key_of(*, secret: bytes, tenant: int, model: str, conversation: bytes) -> bytes:
    """The key of a conversation: keyed, so that nobody else's words can be guessed at from it."""
    said = b"\0".join((str(tenant).encode(), model.encode(), conversation))
    return hashlib.blake2b(said, key=secret[:64], digest_size=16).digest()
