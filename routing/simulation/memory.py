"""The prompt cache of a simulated provider: what prompts begin with, in blocks, for as long as real ones keep it."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

BLOCK_BYTES: Final = 512  # 128 tokens
SECONDS: Final = 300.0
MOST: Final = 50_000


class PromptCache:
    """Blocks that were read of late, each known with all before it; prompts of `least` tokens at least, 0: none."""

    def __init__(self, *, least: int) -> None:
        self._least = least
        self._read_at: OrderedDict[bytes, float] = OrderedDict()

    def read(self, text: str, *, tokens: int, now: float) -> int:
        """Read a prompt of so many tokens; how many of them it had read before."""
        if not self._least or tokens < self._least:
            return 0
        data, said, found, is_known = text.encode(), blake2b(digest_size=12), 0, True
        for end in range(BLOCK_BYTES, len(data) + 1, BLOCK_BYTES):
            said.update(data[end - BLOCK_BYTES : end])
            block = said.digest()
            is_known = is_known and now - self._read_at.pop(block, -SECONDS) < SECONDS
            found += is_known
            self._read_at[block] = now
        while len(self._read_at) > MOST:
            self._read_at.popitem(last=False)
        cached = found * BLOCK_BYTES * tokens // max(1, len(data))
        return cached if cached >= self._least else 0
