"""What the portal's templates say in words: amounts, prices, counts, links."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from marketplace.catalogue.form import PER_MILLION_TOKENS
from marketplace.lib import markdown, money, tariffs

register = template.Library()

MS_UNITS = frozenset({"hardware_ms"})
NAMES = {
    "prompt": "input tokens",
    "completion": "output tokens",
    "cached_read": "cached input tokens",
    "cached_write": "input tokens written to cache",
    "reasoning": "reasoning tokens",
    "hardware_ms": "milliseconds of hardware",
}
WORDS = {"audio_second": "second", "hardware_ms": "second"}


@register.filter
def usd(nano: int | None) -> str:
    """Nano-USD -> "$0.00105", every digit; minus in front; a dash for None."""
    if nano is None:
        return "–"
    sign = "−" if nano < 0 else ""
    return f"{sign}${money.format_usd(abs(nano))}"


@register.filter
def price(nano_per_million: int, unit: str) -> str:
    """A price row -> dollars per million tokens, per second of hardware or per piece, exact."""
    unit = tariffs.unit_of(unit)
    if unit in PER_MILLION_TOKENS:
        return money.format_price_per_million(nano_per_million)
    if unit in MS_UNITS:
        return money.format_price_per_unit(nano_per_million * 1000)
    return money.format_price_per_unit(nano_per_million)


@register.filter
def per_unit(unit: str) -> str:
    """The words behind a price: "/M tokens", "/second", "/image"."""
    unit = tariffs.unit_of(unit)
    if unit in PER_MILLION_TOKENS:
        return "/M tokens"
    return f"/{WORDS.get(unit, unit.replace('_', ' '))}"


@register.filter
def price_name(key: str) -> str:
    """What a price is for: "prompt", "prompt, above 200,000 prompt tokens"."""
    unit, condition = tariffs.parse(key)
    return ", ".join(filter(None, (unit.replace("_", " "), str(condition))))


@register.filter
def unit_name(unit: str) -> str:
    """A unit in words: "cached input" for cached_read."""
    return NAMES.get(unit, unit.replace("_", " "))


@register.filter
def compact(number: int | None) -> str:
    """A count in at most four characters and a letter: 999, 8.1K, 131K, 1M. A dash for None."""
    if number is None:
        return "–"
    for size, letter in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if number >= size:
            tenths = number * 10 // size
            whole, rest = divmod(tenths, 10)
            return f"{whole}.{rest}{letter}" if rest and whole < 10 else f"{whole}{letter}"
    return str(number)


@register.filter
def words(text: str) -> str:
    """Markdown -> its words in one line."""
    return markdown.words(text)


@register.filter
def written(document: markdown.Document | str) -> SafeString:
    """A text of a publisher's as HTML: a document, or Markdown without pictures."""
    rendered = markdown.render(document, pictures=False) if isinstance(document, str) else document
    return SafeString(rendered.html)  # markdown.py passes on nothing but what it names


@register.filter
def duration(milliseconds: int) -> str:
    """Milliseconds of use -> "1.204 s", "2 h 5 min"; a dash for none."""
    if not milliseconds:
        return "–"
    seconds, rest = divmod(milliseconds, 1000)
    if seconds < 60:
        return f"{seconds}.{rest:03d} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"


@register.simple_tag
def link_if_exists(name: str, *args: Any) -> str:
    """The address of a named page, or "" where the page is not installed."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def with_query(context: Context, **changes: Any) -> str:
    """The present address's query with some values changed; None or "" takes one away."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            query.pop(name, None)
        else:
            query[name] = str(value)
    return f"?{query.urlencode()}"
