"""How long a provider may be silent, and how much it may send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketplace.lib import env

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that an upstream may be silent, and bytes that it may send."""

    connect: float = 5.0
    first_chunk: float = 30.0  # from sending a streamed request to the first piece of its answer
    answer: float = 120.0  # from sending a plain request to its whole answer
    idle: float = 60.0  # between two pieces of a stream
    plain_bytes: int = 64 * MEBIBYTE  # ten pictures in base64
    stream_bytes: int = 128 * MEBIBYTE
    error_bytes: int = 64 * 1024


def deadlines() -> Deadlines:
    """The deadlines from the environment."""
    return Deadlines(
        first_chunk=env.integer("UPSTREAM_FIRST_CHUNK_MS", 30_000, minimum=1) / 1000,
        answer=env.integer("UPSTREAM_ANSWER_MS", 120_000, minimum=1) / 1000,
        idle=env.integer("UPSTREAM_IDLE_MS", 60_000, minimum=1) / 1000,
    )
