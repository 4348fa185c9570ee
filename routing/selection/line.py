"""What the choice reads of an endpoint, computed when something is learned of it rather than for each request."""

from typing import NamedTuple


class Line(NamedTuple):
    """Good `until` then. `tier`: open, limited, shut; `call`: steady, idling, half-open.

    Times are in seconds, `odds` are failures to successes, `tools` is the share of tool calls that are malformed.
    """

    until: float
    tier: int
    call: int
    level: float
    per_token: float
    pace: float
    hopeful: float
    scale: float  # the spread as the scale of a logistic distribution
    risk: float  # nano-dollars that failures are expected to cost, by the default weights
    spread: float
    odds: float
    lost: float
    tools: float
    is_timed: bool
    is_paced: bool


# The same as a plain tuple, which Python takes apart in a third of the time and makes in a sixth.
Figures = tuple[
    float, int, int, float, float, float, float, float, float, float, float, float, float, bool, bool
]  # fmt: skip
