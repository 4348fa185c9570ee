"""What each generation of Claude accepts: the same dialect, but a later model refuses what an earlier one wanted.

Known by the provider's name of the model, since a refused parameter is a 400. A name that is no Claude's is
another maker's model behind this dialect: it is taken to accept the first generations' parameters.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_ALWAYS_THINKS: Final = re.compile(r"claude-(?:fable|mythos)")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model accepts."""

    thinking: Literal["none", "budget", "adaptive"]
    samples: bool = True  # temperature, top_p, top_k
    samples_twice: bool = True  # temperature and top_p together
    schemas: bool = True  # output_config.format and strict tools
    forces_tools: bool = True  # tool_choice any and tool
    shows_thoughts: bool = True  # without being asked to by thinking.display
    has_xhigh: bool = False
    off: Literal["absent", "disabled", "low"] = "absent"  # how it is told not to think


def abilities(upstream: str) -> Abilities:
    """What the model of this name accepts."""
    name = upstream.lower()
    if "claude" not in name:
        return Abilities("budget", off="disabled")
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (99, 0)
    always = bool(_ALWAYS_THINKS.search(name))
    if version < (4, 6):
        return Abilities(
            thinking="budget" if version >= (3, 7) else "none",
            samples_twice=version < (4, 1),
            schemas=version >= (4, 5),
        )
    return Abilities(
        thinking="adaptive",
        samples=version < (4, 7),
        samples_twice=False,
        forces_tools=version < ((5, 1) if always else (5, 5)),
        shows_thoughts=version < (4, 7),
        has_xhigh=version >= (4, 7),
        off="absent" if version < (5, 0) else "disabled" if version < (5, 5) and not always else "low",
    )
