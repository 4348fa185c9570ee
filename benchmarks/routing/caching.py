"""What others do who know that prompts are cached, written anew from their documentation.

For traces that say how prompts begin.
"""

from __future__ import annotations

from typing import Final

from benchmarks.routing.baselines import Baseline, InverseSquare
from benchmarks.routing.world import Job

KEPT = 600.0
MATCH: Final = 0.3
IMBALANCE, IMBALANCE_TIMES = 64, 1.5


class Sticky(InverseSquare):
    """OpenRouter's: a conversation stays where it was answered last, if cached input is cheaper there.

    Ten minutes after its last answer, or while that endpoint rests, it goes by the square of the price.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._at: dict[int, tuple[int, float]] = {}

    def pick(self, job: Job, left: list[int], now: float) -> int:
        index, until = self._at.get(job.request.conversation, (-1, 0.0))
        return index if index in left and now < until else super().pick(job, left, now)

    def ended(self, job: Job, index: int, now: float) -> None:
        super().ended(job, index, now)
        if self.endpoints[index].truth.cached is not None:
            self._at[job.request.conversation] = (index, now + KEPT)


class PrefixAware(Baseline):
    """SGLang's and vLLM's routers': the endpoint that has read most of the prompt, if three tenths at least.

    Else the one that has read least of all; the least busy where they are far from balanced.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._read: dict[int, set[int]] = {}

    def pick(self, job: Job, left: list[int], now: float) -> int:
        busy = {i: self.in_flight.get(i, 0) for i in left}
        least, most = min(busy.values()), max(busy.values())
        if most - least > IMBALANCE and most > IMBALANCE_TIMES * least:
            return min(left, key=lambda i: (busy[i], i))
        best = max(left, key=lambda i: (self._match(job, i), -busy[i], -i))
        if self._match(job, best) > MATCH:
            return best
        return min(left, key=lambda i: (len(self._read.get(i, ())), busy[i], i))

    def begin(self, job: Job, index: int, left: list[int], now: float) -> float:
        self._read.setdefault(index, set()).update(job.request.blocks)
        return super().begin(job, index, left, now)

    def _match(self, job: Job, index: int) -> float:
        read, count = self._read.get(index, set()), 0
        for block in job.request.blocks:
            if block not in read:
                break
            count += 1
        return count / max(1, len(job.request.blocks))


CACHING: dict[str, type[Baseline]] = {"sticky-inverse-square": Sticky, "prefix-aware": PrefixAware}
