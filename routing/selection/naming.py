"""What a caller's word for a model means: a name with variants, the latest of a family, or the choice left to us."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from routing.canonical import ProviderPreferences

AUTO: Final = frozenset({"auto", "openrouter/auto", "turnpike/auto"})
LATEST: Final = re.compile(r"~(?P<author>[^/]+)/(?P<family>.+)-latest")
# What the part of a name that is about versions and dates looks like: they do not make a family.
VERSION: Final = re.compile(r"^(v?\d+([.\d]*\d)?|\d{4,8}|preview|exp|beta|latest)$")
SORTS: Final[Mapping[str, str]] = {"nitro": "throughput", "floor": "price", "exacto": "exacto"}
VARIANTS: Final = frozenset({"free", *SORTS})


@dataclass(frozen=True, slots=True)
class Named:
    """A model's name without its variants, and these as they came: of free, nitro, floor and exacto any number."""

    name: str
    variants: tuple[str, ...] = ()


def read(word: str) -> Named:
    """The name and variants in a caller's word; what follows a colon and is no variant belongs to the name."""
    name, variants = word, list[str]()
    while True:
        rest, _, last = name.rpartition(":")
        if not rest or last not in VARIANTS:
            return Named(name, tuple(reversed(variants)))
        name = rest
        variants.append(last)


def wishes_of(variants: Sequence[str], wishes: ProviderPreferences) -> ProviderPreferences:
    """The preferences with what the variants ask for: of several that sort the last; the caller's own `sort` wins."""
    if "free" in variants:
        wishes = replace(wishes, max_price={**wishes.max_price, "prompt": 0, "completion": 0, "request": 0})
    sorts = [SORTS[one] for one in variants if one in SORTS]
    if sorts and wishes.sort is None:
        wishes = replace(wishes, sort=sorts[-1])
    return wishes


def is_of_family(slug: str, family: str) -> bool:
    """Whether a model's slug is of the family: the same words, whatever stands for version and date."""
    return _words(slug) == _words(family)


def _words(slug: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[-_]", slug.lower()) if not VERSION.match(word))


def latest(*, slugs: Sequence[str], family: str) -> str | None:
    """Of slugs, the newest first, the first of the family."""
    return next((slug for slug in slugs if is_of_family(slug, family)), None)
