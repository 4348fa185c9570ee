"""How long a provider may be silent, and how much it may send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketplace.lib import env

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that an upstream may be silent, and bytes that it may send.

    A long prompt and a long answer get more of them, at a pace that is slow but of use to somebody.
    """

    connect: float = 5.0
    first_chunk: float = 30.0  # from sending a streamed request to the first piece of its answer
    thinking: float = 300.0  # the same where the model may think before it speaks, which not every provider shows
    answer: float = 120.0  # from sending a plain request to its whole answer
    idle: float = 60.0  # between two pieces of a stream
    longest: float = 600.0  # for any of these with what is added: official clients wait no longer
    read_per_second: float = 1_000.0  # tokens of a prompt
    written_per_second: float = 30.0  # tokens of an answer
    plain_bytes: int = 64 * MEBIBYTE  # ten pictures in base64
    stream_bytes: int = 128 * MEBIBYTE
    error_bytes: int = 64 * 1024

    def to_first_piece(self, *, prompt_tokens: int, thinks: bool) -> float:
        """Seconds from sending a streamed request to its first piece; `thinks`: the model may do so in silence."""
        usual = max(self.first_chunk, self.thinking) if thinks else self.first_chunk
        return self._bounded(usual, prompt_tokens / self.read_per_second)

    def to_answer(self, *, prompt_tokens: int, max_tokens: int) -> float:
        """Seconds from sending a plain request to its whole answer of at most so many tokens, thoughts included."""
        return self._bounded(self.answer, prompt_tokens / self.read_per_second + max_tokens / self.written_per_second)

    def _bounded(self, usual: float, more: float) -> float:
        return max(usual, min(usual + more, self.longest))


def deadlines() -> Deadlines:
    """The deadlines from the environment."""
    return Deadlines(
        first_chunk=env.integer("UPSTREAM_FIRST_CHUNK_MS", 30_000, minimum=1) / 1000,
        thinking=env.integer("UPSTREAM_THINKING_MS", 300_000, minimum=1) / 1000,
        answer=env.integer("UPSTREAM_ANSWER_MS", 120_000, minimum=1) / 1000,
        longest=env.integer("UPSTREAM_LONGEST_MS", 600_000, minimum=1) / 1000,
        idle=env.integer("UPSTREAM_IDLE_MS", 60_000, minimum=1) / 1000,
    )
