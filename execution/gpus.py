"""The GPUs of a host as `nvidia-smi` tells them: read, matched with a class of hardware, chosen. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

QUERY: Final = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
FIELDS: Final = 4
# A driver tells a little less than what is on the box: 15,360 MiB of a T4 of 16 GB.
NEARLY: Final = 0.9


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; `memory` in MiB."""

    index: str
    uuid: str
    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of hardware, as far as GPUs tell it apart: "gpu-a100-large", 80."""

    sku: str
    memory_gb: int


def read(text: str) -> list[Gpu]:
    """What `nvidia-smi` with QUERY has printed. Raises ValueError with the line that is none of its own."""
    found = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if not row:
            continue
        cells = [cell.strip() for cell in row]
        if len(cells) != FIELDS or not cells[0].isdecimal() or not cells[3].isdecimal():
            raise ValueError(f"nvidia-smi printed {', '.join(row)[:100]!r} where a GPU was expected")
        found.append(Gpu(index=cells[0], uuid=cells[1], name=cells[2], memory=int(cells[3])))
    return found


def kind_of(gpus: Sequence[Gpu], kinds: Iterable[Kind]) -> str | None:
    """The class that these GPUs are of: named in all their names, with its memory; the largest such. None: no class.

    A class's second word is what its GPU is called: gpu-l40s, gpu-a100-large.
    """
    fit = [kind for kind in kinds if gpus and all(_is(gpu, kind) for gpu in gpus)]
    return max(fit, key=lambda kind: kind.memory_gb).sku if fit else None


def chosen(gpus: Sequence[Gpu], ids: Sequence[str]) -> list[Gpu]:
    """Those that are named by index or uuid, in this order; all where none is. Raises ValueError for a stranger."""
    if not ids:
        return list(gpus)
    known = {gpu.index: gpu for gpu in gpus} | {gpu.uuid: gpu for gpu in gpus}
    for one in ids:
        if one not in known:
            there = ", ".join(gpu.index for gpu in gpus) or "none"
            raise ValueError(f"this host has no GPU {one}; nvidia-smi tells of {there}")
    return list(dict.fromkeys(known[one] for one in ids))


def with_memory(gpus: Sequence[Gpu], gigabytes: int) -> list[Gpu]:
    """Those that have so much memory."""
    return [gpu for gpu in gpus if gpu.memory >= gigabytes * 1024 * NEARLY]


def _is(gpu: Gpu, kind: Kind) -> bool:
    words = re.split(r"[^a-z0-9]+", gpu.name.lower())
    parts = kind.sku.split("-")
    return len(parts) > 1 and parts[1] in words and bool(with_memory([gpu], kind.memory_gb))
