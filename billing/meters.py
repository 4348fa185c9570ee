"""What is counted at Stripe for accounts that pay afterwards: priced families and quantities to read. Pure.

A priced meter counts micro-dollars that were charged, so that no price of ours is ever entered at Stripe. A
subscription has at most fifteen prices: text, media, and one for each hardware class as far as they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MOST_ITEMS: Final = 15
TEXT, MEDIA, OTHER_HARDWARE = "text", "media", "hardware_other"
NANO_PER_MICRO: Final = 1_000
# Kinds of charges for what is neither text nor a run; everything else that no hardware made is text.
_MEDIA_KINDS: Final = frozenset({"images", "videos", "speech", "transcriptions", "audio"})
# Quantity -> the units that it adds up.
_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "tokens_in": ("prompt", "cached_read", "cached_write"),
    "tokens_out": ("completion", "reasoning"),
    "tokens_cached": ("cached_read",),
    "gpu_ms": ("hardware_ms",),
    "images": ("generated_image",),
}
QUANTITIES: Final[Mapping[str, str]] = {
    "tokens_in": "Tokens in",
    "tokens_out": "Tokens out",
    "tokens_cached": "Cached tokens",
    "gpu_ms": "GPU milliseconds",
    "images": "Images",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The priced meters of an installation: name -> title, and which hardware has one of its own."""

    titles: Mapping[str, str]
    hardware: frozenset[str]

    def family(self, *, kind: str, labels: Mapping[str, Any]) -> str:
        """The priced meter of a charge, by the kind of what was done and what it says of itself."""
        sku = str(labels.get("hardware") or "")
        if sku:
            return _hardware(sku) if sku in self.hardware else OTHER_HARDWARE
        return MEDIA if kind in _MEDIA_KINDS else TEXT


def plan(hardware: Sequence[str]) -> Plan:
    """The priced meters for these hardware classes, the most important first; those beyond the limit share one."""
    room = MOST_ITEMS - 2
    own = hardware if len(hardware) <= room else hardware[: room - 1]
    titles = {TEXT: "Text", MEDIA: "Images, sound and video", **{_hardware(sku): f"Hardware {sku}" for sku in own}}
    if len(own) < len(hardware):
        titles[OTHER_HARDWARE] = "Other hardware"
    return Plan(titles, frozenset(own))


def quantities(units: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Quantity -> how many, of charged units."""
    counted = dict.fromkeys(_UNITS, 0)
    for unit, count in units:
        for name, parts in _UNITS.items():
            if unit in parts:
                counted[name] += count
    return counted


def micro(*, before_nano: int, after_nano: int) -> int:
    """The micro-dollars to count as a running total moves on; what is below one is carried over to the next."""
    return after_nano // NANO_PER_MICRO - before_nano // NANO_PER_MICRO


def event_name(meter: str) -> str:
    """What a meter's events are called at Stripe."""
    return f"turnpike_{meter}"


def _hardware(sku: str) -> str:
    return f"hardware_{sku.replace('-', '_')}"
