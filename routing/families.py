"""The newest of a family whose models come in several sizes: of gpt-oss-20b and gpt-oss-120b for `gpt-oss`. Pure."""

import re
from collections.abc import Sequence
from math import inf
from typing import Final

from routing.selection import naming

# A size of a name: 120b, 8x7b, 1.5b, 1t; a3b (so many active), e4b (effectively), 128e (experts).
SIZE: Final = re.compile(r"(?:(?P<times>\d+)x|[ae])?(?P<number>\d+(?:\.\d+)?)(?P<unit>[mbt])|\d+e")
UNITS: Final = {"m": 1e6, "b": 1e9, "t": 1e12}


def latest(*, slugs: Sequence[str], family: str) -> str | None:
    """Of slugs, the newest first, the newest of the family; None where it has none.

    A family that is named with a size has models of that size alone. Of one that is not, the newest release counts
    whatever its sizes: of its models the one without a size in its name, else the largest, of equals the newest.
    """
    if _without_size(family) != family.lower():
        return naming.latest(slugs=slugs, family=family)
    release = naming.latest(slugs=[_without_size(slug) for slug in slugs], family=family)
    return max((slug for slug in slugs if _without_size(slug) == release), key=_size, default=None)


def _without_size(slug: str) -> str:
    return "".join(part for part in _parts(slug) if not SIZE.fullmatch(part.lstrip("-_"))).lower()


def _size(slug: str) -> float:
    sizes = [found for part in _parts(slug) if (found := SIZE.fullmatch(part.lstrip("-_"))) and found["number"]]
    return max((float(one["times"] or 1) * float(one["number"]) * UNITS[one["unit"]] for one in sizes), default=inf)


def _parts(slug: str) -> list[str]:
    """The words of a name, each with what parts it from the one before: "gpt", "-oss", "-120b"."""
    return re.findall(r"[-_]?[^-_]+|[-_]", slug.lower())
