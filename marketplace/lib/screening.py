"""Finding what must not leave in texts: personal data by libraries, anything else by linear-time patterns.

Patterns come from callers, so they run on RE2: no pattern can take more than time linear in the text
(and none can look around or refer back). Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import phonenumbers
import re2
from stdnum import luhn
from stdnum.us import ssn

MAX_PATTERN: Final = 1_000
# Telephone numbers without a country code are read as of here.
REGION: Final = "US"
Span = tuple[int, int]


class BadPattern(ValueError):
    """The pattern cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One thing to look for: a builtin by its slug, or a pattern. `action` is block or redact."""

    label: str
    action: str
    slug: str = ""
    pattern: str = ""
    user_only: bool = False


@dataclass(frozen=True, slots=True)
class Screened:
    """A text after its filters: what is left of it, and the labels of what blocks it."""

    text: str
    blocked_by: tuple[str, ...] = ()


def check_pattern(pattern: str) -> None:
    """Raise BadPattern for what RE2 does not know, what is too long, and what matches nothing at all."""
    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"is longer than {MAX_PATTERN} characters")
    if _compiled(pattern).search("") is not None:
        raise BadPattern("matches an empty text: require at least one character")


def screen(text: str, filters: Sequence[Filter]) -> Screened:
    """Look for everything: blocks are found first, in the text as it came; then the rest is redacted."""
    blocked = tuple(one.label for one in filters if one.action == "block" and next(_spans(one, text), None))
    if blocked:
        return Screened(text, blocked)
    for one in filters:
        if one.action == "redact":
            text = _without(text, _spans(one, text), f"[{one.label}]")
    return Screened(text)


def _without(text: str, spans: Iterable[Span], word: str) -> str:
    kept: list[str] = []
    last = 0
    for start, end in sorted(spans):
        if start < last:
            continue  # inside what is gone already
        kept += (text[last:start], word)
        last = end
    return "".join((*kept, text[last:]))


def _spans(wanted: Filter, text: str) -> Iterator[Span]:
    if wanted.slug:
        yield from BUILTINS[wanted.slug](text)
    else:
        yield from _matches(wanted.pattern, text)


def _matches(pattern: str, text: str) -> Iterator[Span]:
    for found in _compiled(pattern).finditer(text):
        yield found.span()


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "is no pattern"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise BadPattern(f"is no pattern of RE2's: {text}") from None


def _emails(text: str) -> Iterator[Span]:
    return _matches(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b", text)


def _phones(text: str) -> Iterator[Span]:
    # The library's own search takes seconds for a megabyte of figures; it judges what RE2 finds.
    return _sound(r"(?:\+|\(|\b)\d(?:[ ./()-]{0,3}\d){6,14}\b", text, _is_phone)


def _social_security(text: str) -> Iterator[Span]:
    return _sound(r"\b\d{3}-\d{2}-\d{4}\b", text, ssn.is_valid)


def _cards(text: str) -> Iterator[Span]:
    return _sound(r"\b\d(?:[ -]?\d){12,18}\b", text, lambda found: luhn.is_valid(_digits(found)))


def _addresses(text: str) -> Iterator[Span]:
    yield from _sound(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text, _is_address)
    yield from _sound(r"[0-9A-Fa-f:]{2,39}:[0-9A-Fa-f:.]{0,15}", text, _is_address)


def _sound(pattern: str, text: str, is_valid: Callable[[str], bool]) -> Iterator[Span]:
    for start, end in _matches(pattern, text):
        if is_valid(text[start:end]):
            yield start, end


def _is_phone(text: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, REGION))
    except phonenumbers.NumberParseException:
        return False


def _digits(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# What is known by name; names of people and postal addresses need a language model, which is not here.
BUILTINS: Final[dict[str, Callable[[str], Iterator[Span]]]] = {
    "email": _emails,
    "phone": _phones,
    "ssn": _social_security,
    "credit-card": _cards,
    "ip-address": _addresses,
}
