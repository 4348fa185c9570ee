"""What a simulated provider can do wrong, by word: `500`, `429:2`, `hang`, `cut:5` … Pure."""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final

# kind -> what it does; `n` is the number after the colon
KINDS: Final = {
    "ok": "answers as it should",
    "status": "answers with this HTTP status (a plain number is short for it)",
    "429": "answers 429 with Retry-After: n",
    "hang": "never answers",
    "slow": "answers n seconds later than it would",
    "cut": "breaks the connection after n pieces of the answer",
    "clip": "ends the body, as if all were well, after n pieces and without a finish reason",
    "stall": "falls silent for ever after n pieces",
    "error": "reports an error inside the stream after n pieces",
    "malformed": "sends something that is no JSON first",
    "empty": "answers 200 with nothing in it",
    "html": "answers 200 with a web page",
    "redirect": "answers 307 to another address",
    "nousage": "leaves the usage out",
    "badusage": "reports a negative usage",
    "badtool": "calls a tool with arguments that are no JSON",
    "flood": "sends one event that never ends",
}


class UnknownFault(ValueError):
    """The word is no fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong."""

    kind: str = "ok"
    number: float = 0


OK: Final = Fault()


def read(word: str) -> Fault:
    """The fault that a word means. Raises UnknownFault."""
    kind, _, number = word.strip().partition(":")
    try:
        value = float(number) if number else 0.0
    except ValueError:
        raise UnknownFault(f"{word!r}: what stands after the colon must be a number") from None
    if kind == "429":
        return Fault("429", value or 1)
    if kind.isdigit() and 400 <= int(kind) <= 599:
        return Fault("status", int(kind))
    if kind not in KINDS:
        raise UnknownFault(f"{word!r} is none of {', '.join(KINDS)} or a status from 400 to 599")
    return Fault(kind, value)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a fault happens by itself: shares of 1."""

    error: float = 0
    rate_limit: float = 0
    hang: float = 0
    cut: float = 0

    def draw(self, random: Random) -> Fault:
        """The fault that chance has for the next request."""
        roll = random.random()
        for share, fault in (
            (self.error, Fault("status", 500)),
            (self.rate_limit, Fault("429", 1)),
            (self.hang, Fault("hang")),
            (self.cut, Fault("cut", random.randint(1, 8))),
        ):
            if roll < share:
                return fault
            roll -= share
        return OK


class Script:
    """The faults to come: first those that were ordered, one for each request, then chance."""

    def __init__(self, *, rates: Rates, seed: int) -> None:
        self._rates = rates
        self._random = Random(seed)  # noqa: S311  repeatable on purpose
        self._queue: deque[Fault] = deque()
        self._always: Fault | None = None

    def order(self, words: list[str], *, always: bool = False) -> None:
        """Replace what was ordered. `always`: the last word holds for every further request. Raises UnknownFault."""
        faults = [read(word) for word in words]
        self._always = faults[-1] if always and faults else None
        self._queue = deque(faults)

    def next(self) -> Fault:
        """The fault for this request."""
        if self._queue:
            return self._queue.popleft()
        return self._always if self._always is not None else self._rates.draw(self._random)
