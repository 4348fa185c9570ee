"""Identifiers: time-ordered ids, base62 text, and API keys whose typing errors show offline."""

from __future__ import annotations

import secrets
import zlib
from uuid import UUID

import uuid6

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LOWER = "0123456789abcdefghjkmnpqrstvwxyz"
KEY_PREFIX = "sk-tp-v1-"
_KEY_RANDOM = 32
_KEY_CHECK = 6
_UUID_WIDTH = 22


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562, version 7)."""
    return UUID(int=uuid6.uuid7().int)


def base62(number: int, *, width: int = 0) -> str:
    """A non-negative number in base62, padded with zeros to `width`."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    return digits.rjust(width, "0") or "0"


def from_base62(text: str) -> int:
    """The number that base62 text stands for; ValueError for a character outside the alphabet."""
    number = 0
    for character in text:
        number = number * 62 + ALPHABET.index(character)
    return number


def random_token(length: int) -> str:
    """`length` random base62 characters (5.95 bits each)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def random_lower(length: int) -> str:
    """`length` random characters that survive being read aloud (5 bits each)."""
    return "".join(secrets.choice(LOWER) for _ in range(length))


def generation_id(uuid: UUID) -> str:
    """The public form of a generation's id: `gen-<unix seconds>-<22 base62 characters>`."""
    seconds = (uuid.int >> 80) // 1000
    return f"gen-{seconds}-{base62(uuid.int, width=_UUID_WIDTH)}"


def minute_of(uuid: UUID) -> int:
    """The minute of the UTC day in which a version 7 UUID was made."""
    return (uuid.int >> 80) // 60_000 % (24 * 60)


def parse_generation_id(text: str) -> UUID:
    """The UUID behind a generation's public id; ValueError for anything else."""
    head, _, tail = text.rpartition("-")
    if not head.startswith("gen-") or len(tail) != _UUID_WIDTH:
        raise ValueError(f"{text!r} is no generation id.")
    return UUID(int=from_base62(tail))


def new_api_key() -> str:
    """A fresh API key: prefix, 190 random bits, and a CRC-32 of both as six base62 characters."""
    body = KEY_PREFIX + random_token(_KEY_RANDOM)
    return body + _checksum(body)


def is_api_key(text: str) -> bool:
    """Whether the text has the form and checksum of one of our keys (says nothing of validity)."""
    if not text.startswith(KEY_PREFIX) or len(text) != len(KEY_PREFIX) + _KEY_RANDOM + _KEY_CHECK:
        return False
    body, check = text[:-_KEY_CHECK], text[-_KEY_CHECK:]
    return secrets.compare_digest(_checksum(body).encode(), check.encode())


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), width=_KEY_CHECK)
