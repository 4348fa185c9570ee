"""Taking one of the scored endpoints, and the record of it from which the same answer follows again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

from routing.selection.candidates import Candidate
from routing.selection.cost import STRICT, Demand, Parts, Weights, lateness, price_of, terms, total
from routing.selection.line import Figures, Line
from routing.selection.standing import HALF_OPEN, OPEN

EXPLORED_SHARE: Final = 0.05

Why = Literal["cheapest", "probe", "exploration", "only", "order"]


class Score(NamedTuple):
    """One endpoint as scored: where it stands, its expected cost, and its cost at its best."""

    tier: int
    cost: float
    endpoint_id: int
    call: int
    hopeful: float


# A score as a plain tuple, of which the choice makes one for each endpoint.
Scored = tuple[int, float, int, int, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the scored endpoints, and why; `figures` are what was known of each, `scored` how it was scored."""

    candidates: Sequence[Candidate]
    figures: Sequence[Figures]
    scored: Sequence[Scored]
    demand: Demand
    chosen: int
    why: Why
    explores: bool
    draw: float
    seed: str

    @property
    def candidate(self) -> Candidate:
        """The chosen endpoint."""
        return self.candidates[self.chosen]

    @property
    def lines(self) -> list[Line]:
        """What was known of each endpoint, by name."""
        return [Line._make(one) for one in self.figures]

    @property
    def scores(self) -> list[Score]:
        """How each was scored, by name."""
        return [Score._make(one) for one in self.scored]

    def ranked(self) -> list[int]:
        """All of them by index, the chosen first, then by tier and cost."""
        order = sorted(range(len(self.scored)), key=self.scored.__getitem__)
        order.remove(self.chosen)
        return [self.chosen, *order]

    def record(self) -> dict[str, Any]:
        """What is kept with the generation: enough to choose again, and to explain."""
        return {
            "why": self.why,
            "seed": self.seed,
            "draw": self.draw,
            "explores": self.explores,
            "chosen": self.candidate.endpoint_id,
            "weights": asdict(self.demand.weights),
            "endpoints": [
                {
                    "endpoint_id": endpoint_id,
                    "model": candidate.model,
                    "provider": candidate.provider_name,
                    "tier": tier,
                    "call": call,
                    "hopeful": hopeful,
                    "cost": cost,
                    "cached": self.demand.cached.get(endpoint_id, 0),
                    "parts": parts_of(candidate, line, self.demand)._asdict(),
                }
                for candidate, line, (tier, cost, endpoint_id, call, hopeful) in zip(
                    self.candidates, self.figures, self.scored, strict=True
                )
            ],
        }


def parts_of(candidate: Candidate, line: Figures, demand: Demand) -> Parts:
    """What is expected of an endpoint for a request."""
    _, _, _, level, per_token, pace, hopeful, _, _, spread, odds, lost, tools, is_timed, is_paced = line
    tokens = demand.tokens - demand.cached.get(candidate.endpoint_id, 0)
    ttft, generation = level + per_token * tokens, demand.output * pace
    # What a request waits before it runs is not charged: the usual time to the first token is without it.
    seconds = hopeful + per_token * tokens + generation
    return Parts(
        price=price_of(candidate, demand, seconds=seconds),
        ttft=ttft,
        late=lateness(ttft, spread, demand.waited),
        generation=generation,
        odds=odds,
        lost=lost,
        tools=tools if demand.tools else 0.0,
        is_known=is_paced if demand.weights.generation >= STRICT else is_timed or not demand.weights.wait,
    )


def draw_of(seed: str) -> float:
    """The chance of one choice, in [0, 1): equal seeds give equal chances, on every machine."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=7).digest(), "big") / 2.0**56


def pick(scores: Sequence[Scored], *, draw: float, explores: bool) -> tuple[int, Why]:
    """(index, why): the cheapest of the best tier, or now and then one that might be cheaper still.

    A half-open endpoint gets its one probe, and an idle one a look, only where at its best it would win, and
    only while a well one can take the request over.
    """
    first = min(scores)  # by tier, cost, and the endpoint's id where all is equal
    best = scores.index(first)
    if len(scores) == 1:
        return best, "only"
    tier, most, _, _, _ = first
    if not explores or tier != OPEN:
        return best, "cheapest"
    curious = [one for one in scores if one[3] and one[4] < most and one is not first]
    if not curious:
        return best, "cheapest"
    probes = [one for one in curious if one[3] == HALF_OPEN]
    if probes:
        return scores.index(min(probes, key=_at_its_best)), "probe"
    if draw < EXPLORED_SHARE * len(curious):
        return scores.index(curious[int(draw / EXPLORED_SHARE)]), "exploration"
    return best, "cheapest"


def _at_its_best(score: Scored) -> tuple[float, int]:
    _, _, endpoint_id, _, hopeful = score
    return hopeful, endpoint_id


def replay(record: Mapping[str, Any]) -> int:
    """The endpoint that the recorded choice leads to, computed again from what was expected of each."""
    weights = Weights(**record["weights"])
    scores = [
        Score(one["tier"], total(Parts(**one["parts"]), weights), one["endpoint_id"], one["call"], one["hopeful"])
        for one in record["endpoints"]
    ]
    draw = draw_of(record["seed"]) if record["seed"] else record["draw"]
    chosen, _ = pick(scores, draw=draw, explores=record["explores"])
    return scores[chosen].endpoint_id


def explain(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each endpoint's expected cost by its terms, in nano-dollars, the best first."""
    weights = Weights(**record["weights"])
    rows = [
        {
            **one,
            "is_chosen": one["endpoint_id"] == record["chosen"],
            "terms": terms(Parts(**one["parts"]), weights),
        }
        for one in record["endpoints"]
    ]
    return sorted(rows, key=lambda row: (row["tier"], row["cost"], row["endpoint_id"]))
