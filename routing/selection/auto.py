"""Which model answers a request that leaves the choice to us: by kind of task, size and price band. Pure.

The kind is told by simple marks of the request, the strength of a model by its published scores where there are
any and else by its price, which is what the market thinks of it. What was chosen and why is part of the answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from routing.selection.candidates import Need

Task = Literal["code", "reasoning", "vision", "long", "chat"]
Band = Literal["low", "medium", "high"]

CODE: Final = re.compile(r"```|\b(def|class|function|import|SELECT|traceback|stack trace|compile|refactor)\b")
REASONING: Final = re.compile(r"\b(prove|derive|step by step|theorem|integral|equation|optimi[sz]e|why does)\b", re.I)
LONG_TOKENS: Final = 16_000
# The share of models, from the cheapest, that a band may choose among.
BANDS: Final[dict[Band, tuple[float, float]]] = {"low": (0.0, 0.4), "medium": (0.2, 0.75), "high": (0.6, 1.0)}
USUAL: Final[dict[Task, Band]] = {
    "code": "high", "reasoning": "high", "vision": "medium", "long": "medium", "chat": "low",
}  # fmt: skip
FALLBACKS: Final = 3


@dataclass(frozen=True, slots=True)
class Option:
    """A model that could answer: what a typical request costs at its cheapest endpoint, and its published score."""

    model: str
    cost_nano: float
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """The models to try, the best first, and why."""

    models: tuple[str, ...]
    task: Task
    band: Band
    reason: str


def task_of(*, text: str, need: Need) -> Task:
    """The kind of task, by the request's content and the last words said."""
    if need.inputs & {"image", "video"}:
        return "vision"
    if CODE.search(text):
        return "code"
    if REASONING.search(text):
        return "reasoning"
    return "long" if need.input_estimate > LONG_TOKENS else "chat"


def pick(*, options: Sequence[Option], task: Task, band: Band | None = None) -> Picked | None:
    """Models of the band, the best scored first and the cheaper one of equals; None where there is no option."""
    if not options:
        return None
    chosen = band or USUAL[task]
    ranked = sorted(options, key=lambda one: (one.cost_nano, one.model))
    low, high = BANDS[chosen]
    first = min(int(low * len(ranked)), len(ranked) - 1)
    inside = ranked[first : max(first + 1, round(high * len(ranked)))]
    inside.sort(key=lambda one: (-(one.score if one.score is not None else -1.0), one.cost_nano, one.model))
    models = tuple(one.model for one in inside[:FALLBACKS])
    reason = f"{task} task, {chosen} price band: {len(inside)} of {len(options)} models that can serve it"
    return Picked(models, task, chosen, reason)
