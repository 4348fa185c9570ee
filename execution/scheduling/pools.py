"""Which hosts keep the warm instances of a version: every host computes the same from what the hosts say."""

from __future__ import annotations

from collections.abc import Mapping


def share(standing: Mapping[str, int], *, wanted: int, host: str) -> int:
    """How many of its own instances a host counts among the `wanted`; `standing`: how many each host has, by name.

    The hosts are gone through by name, so what all of them count is never more than is wanted, and what is beyond it
    is nobody's: it goes as any idle instance does.
    """
    before = sum(number for name, number in standing.items() if name < host)
    return max(0, min(standing.get(host, 0), wanted - before))


def lacking(standing: Mapping[str, int], *, wanted: int) -> int:
    """How many more are to be started."""
    return max(0, wanted - sum(standing.values()))
