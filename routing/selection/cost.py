"""What a request is expected to cost at an endpoint, in one currency: money, waiting, risk, all in nano-dollars.

One currency makes every trade explainable: the parts are kept with the generation and add up to the choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp
from typing import Final, NamedTuple

from routing.selection.candidates import CACHED, INSTANCE_MS, NO_UNITS, NOWHERE, WRITTEN, Candidate

SLO_SECONDS: Final = 3.0  # a first token later than this is late
LOGISTIC: Final = 0.72  # the scale of a logistic distribution, in its mean deviations
CERTAIN: Final = 30.0
UNKNOWN: Final = 1e15  # nano-dollars; above any cost, and finite


@dataclass(frozen=True, slots=True)
class Weights:
    """What a caller's time and trouble are worth, in nano-dollars, beside `price` as a factor on money."""

    price: float = 1.0
    wait: float = 200_000.0  # a second until the first token
    late: float = 20_000_000.0  # a first token after the SLO
    generation: float = 20_000.0  # a second of the answer's coming
    failure: float = 100_000.0  # an attempt that fails, beside the time it takes
    tools: float = 0.0  # a tool call that is malformed
    # A strict order by one measure: no exploration, and what was never measured goes last.
    is_strict: bool = False


BALANCED: Final = Weights()
STRICT: Final = 1e9
_BY_ONE: Final = Weights(price=1e-6, wait=0, late=0, generation=0, failure=0, is_strict=True)
PRESETS: Final[Mapping[str, Weights]] = {
    "balanced": BALANCED,
    "price": replace(_BY_ONE, price=1.0),
    "latency": replace(_BY_ONE, wait=STRICT),
    "throughput": replace(_BY_ONE, generation=STRICT),
    "exacto": replace(BALANCED, tools=50_000_000.0, generation=60_000.0),
}


@dataclass(frozen=True, slots=True)
class Demand:
    """One request as the cost sees it: tokens in, tokens of answer expected, and what its caller values."""

    tokens: int
    output: float
    units: Mapping[str, int] = field(default_factory=lambda: NO_UNITS)  # what is counted beside tokens
    weights: Weights = BALANCED
    tools: bool = False
    cached: Mapping[int, int] = field(default_factory=lambda: NOWHERE)  # endpoint -> tokens expected in its cache
    writes: bool = False  # its caller marked what is to be cached, which some charge for
    minute: int = 0  # of the UTC day in which the request came, for prices by time
    waited: float = 0.0  # seconds that its caller has waited already: for an attempt after a failure


class Parts(NamedTuple):
    """What was expected of one endpoint: nano-dollars, seconds, shares. Its cost follows from it and the weights."""

    price: float
    ttft: float
    late: float
    generation: float
    odds: float  # failures to successes
    lost: float
    tools: float = 0.0
    is_known: bool = True


def total(parts: Parts, weights: Weights) -> float:
    """The expected cost in nano-dollars, finite for any parts: the sum of `terms`, in their order."""
    risk = trouble(parts.lost, weights) * parts.odds
    cost = weights.price * parts.price + weights.wait * parts.ttft + weights.late * parts.late
    cost += weights.generation * parts.generation + risk + weights.tools * parts.tools
    return cost if parts.is_known or not weights.is_strict else cost + UNKNOWN


def terms(parts: Parts, weights: Weights) -> dict[str, float]:
    """The expected cost by its terms, in nano-dollars."""
    return {
        "price": weights.price * parts.price,
        "waiting": weights.wait * parts.ttft,
        "lateness": weights.late * parts.late,
        "generation": weights.generation * parts.generation,
        "failure": trouble(parts.lost, weights) * parts.odds,
        "tools": weights.tools * parts.tools,
    }


def trouble(lost: float, weights: Weights) -> float:
    """What a failure that takes so many seconds costs beside the request's own price, in nano-dollars."""
    return weights.failure + weights.wait * lost + weights.late * min(1.0, (lost / SLO_SECONDS) ** 2)


def price_of(candidate: Candidate, demand: Demand, *, seconds: float) -> float:
    """The money that the request is expected to take here, in nano-dollars, where it runs for so many seconds."""
    prices = candidate.applicable(prompt_tokens=demand.tokens, minute=demand.minute)
    nano = prices.get("prompt", 0) * demand.tokens + prices.get("completion", 0) * demand.output
    if "request" in prices:
        nano += prices["request"]
    if candidate.is_by_time:
        nano += prices[INSTANCE_MS] * 1_000 * seconds
    for unit, count in demand.units.items():
        nano += prices.get(unit, 0) * count
    cached = demand.cached.get(candidate.endpoint_id, 0)
    if cached and CACHED in prices:
        nano -= (prices.get("prompt", 0) - prices[CACHED]) * cached
    if demand.writes and WRITTEN in prices:
        nano += (prices[WRITTEN] - prices.get("prompt", 0)) * (demand.tokens - cached)
    return nano / 1_000_000


def scale_of(spread: float) -> float:
    """The scale of the logistic distribution that first tokens of such a spread are taken to follow."""
    return LOGISTIC * spread + 1e-3


def lateness(ttft: float, spread: float, waited: float = 0.0) -> float:
    """How likely the first token comes after the SLO."""
    z = (SLO_SECONDS - waited - ttft) / scale_of(spread)
    if z > CERTAIN:
        return 0.0
    return 1.0 if z < -CERTAIN else 1 / (1 + exp(z))
