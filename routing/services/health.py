"""How endpoints have been doing in this process: cool-down after failures, then one trial, then trust again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from routing.canonical import UpstreamError
from routing.selection.plan import Standing

COOL_DOWN: Final = 2.0  # seconds after the first failure, doubled with each further one
COOL_DOWN_MAX: Final = 60.0
RETRY_AFTER_MAX: Final = 300.0
TRIAL: Final = 30.0  # seconds that one trial may take before another is let through
SMOOTHING: Final = 0.2


@dataclass(slots=True)
class State:
    """One endpoint's; times are of the monotonic clock."""

    failures: int = 0
    ill_until: float = 0.0
    trial_until: float = 0.0
    latency_s: float | None = None
    tokens_per_s: float | None = None


class Health:
    """The states of all endpoints. The clock comes in as an argument."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}

    def standings(self, endpoint_ids: Iterable[int], *, now: float) -> dict[int, Standing]:
        """How each endpoint stands; those that were never tried are healthy."""
        found: dict[int, Standing] = {}
        for endpoint_id in endpoint_ids:
            state = self._states.get(endpoint_id)
            if state is not None:
                found[endpoint_id] = Standing(self._is_healthy(state, now), state.latency_s, state.tokens_per_s)
        return found

    def begin(self, endpoint_id: int, *, now: float) -> None:
        """A request goes there: after a cool-down it is the trial, and others stay away until it has ended."""
        state = self._states.get(endpoint_id)
        if state is not None and state.failures and now >= state.ill_until:
            state.trial_until = now + TRIAL

    def succeeded(self, endpoint_id: int, *, latency_s: float) -> None:
        """It answered."""
        state = self._states.setdefault(endpoint_id, State())
        state.failures, state.ill_until, state.trial_until = 0, 0.0, 0.0
        state.latency_s = _smooth(state.latency_s, latency_s)

    def measured(self, endpoint_id: int, *, tokens_per_s: float) -> None:
        """It gave its answer at this speed."""
        state = self._states.setdefault(endpoint_id, State())
        state.tokens_per_s = _smooth(state.tokens_per_s, tokens_per_s)

    def failed(self, endpoint_id: int, error: UpstreamError, *, now: float) -> None:
        """It failed; a refusal that is the request's own fault is none."""
        state = self._states.setdefault(endpoint_id, State())
        state.trial_until = 0.0
        if error.is_callers:
            return
        state.failures += 1
        wait = min(COOL_DOWN * 2 ** min(state.failures - 1, 10), COOL_DOWN_MAX)
        if error.retry_after is not None:
            wait = min(error.retry_after, RETRY_AFTER_MAX)
        state.ill_until = max(state.ill_until, now + wait)

    def forget(self) -> None:
        """Every endpoint is new again."""
        self._states.clear()

    def _is_healthy(self, state: State, now: float) -> bool:
        return not state.failures or (now >= state.ill_until and now >= state.trial_until)


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else old + SMOOTHING * (new - old)


HEALTH: Final = Health()
