"""What each generation of Gemini accepts: budgets became levels, and signatures of thoughts became compulsory.

Known by the provider's name of the model. A name without a number is taken for the newest; what is no Gemini
(Gemma and the like) thinks in no way that can be asked for.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

_VERSION: Final = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model accepts."""

    thinking: Literal["none", "budget", "level"]
    budgets: tuple[int, int, int] = (0, 0, 0)  # least, most, and what stands for none
    levels: tuple[str, ...] = ()  # from the least to the most
    has_penalties: bool = True
    needs_signatures: bool = False  # a call of a tool without its signature is refused
    media_in_results: bool = False  # functionResponse.parts
    schema_beside_tools: bool = False


def abilities(upstream: str) -> Abilities:
    """What the model of this name accepts."""
    name = upstream.lower()
    if "gemini" not in name:
        return Abilities("none")
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (99, 0)
    if version < (2, 5):
        return Abilities("none")
    if version < (3, 0):
        budgets = (128, 32_768, 128) if "pro" in name else (512, 24_576, 0) if "lite" in name else (1, 24_576, 0)
        return Abilities("budget", budgets=budgets, has_penalties=False)
    levels: tuple[str, ...] = ("minimal", "low", "medium", "high")
    if "pro" in name:  # it cannot think less than a little, and the first one had no middle
        levels = ("low", "high") if version == (3, 0) else ("low", "medium", "high")
    return Abilities(
        "level",
        levels=levels,
        has_penalties=False,
        needs_signatures=True,
        media_in_results=True,
        schema_beside_tools=True,
    )
