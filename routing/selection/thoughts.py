"""Whether models think aloud at an endpoint: where they do not, a stream that is silent says nothing for a long time.

Most endpoints send thoughts as they come, some send nothing until the answer begins, which may take minutes. No
catalogue says which, so it is learned from the calls whose model may think.
"""

from typing import Final

ENOUGH: Final = 5  # calls, before it is believed
RATE: Final = 0.1
RARE: Final = 0.05  # of the calls
TIMES: Final = 3.0  # the usual time to the first token, and
GRACE: Final = 2.0  # so many seconds: what takes longer was thought


class Thoughts:
    """What share of the calls that might think have done so in silence."""

    __slots__ = ("_calls", "_silent")

    def __init__(self) -> None:
        self._calls = 0
        self._silent = 0.0

    def first_token(self, *, seconds: float, usual: float) -> bool:
        """The first token of a call that might think came, where `usual` seconds are; whether it thought in silence."""
        was_silent = seconds > TIMES * usual + GRACE
        self._calls += 1
        self._silent += max(RATE, 1 / self._calls) * (was_silent - self._silent)
        return was_silent

    @property
    def are_aloud(self) -> bool:
        """Whether silence there means something."""
        return self._calls >= ENOUGH and self._silent < RARE

    @property
    def are_silent(self) -> bool:
        """Whether silent thoughts have been met there of late."""
        return self._silent >= RARE
