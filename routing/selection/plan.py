"""Which endpoints to try, in what order, and why: filters, then the router's choice, then the caller's order. Pure.

An endpoint that is not well goes last and is never dropped: when all are ill, the least ill is still better
than none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from marketplace.lib.tariffs import MINUTES
from routing.canonical import ProviderPreferences
from routing.selection.candidates import Candidate, Need
from routing.selection.choice import Choice, draw_of
from routing.selection.cost import PRESETS, Demand
from routing.selection.filters import Exclusion, matches, sift
from routing.selection.history import History
from routing.selection.naming import wishes_of
from routing.selection.prefixes import UNSEEN, Prefixes
from routing.selection.router import Router
from routing.selection.standing import SHUT

ENDPOINTS_RECORDED: Final = 20
NO_HISTORIES: Final[Mapping[int, History]] = {}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One endpoint to try, and the demand that it was chosen by."""

    candidate: Candidate
    demand: Demand
    falls_short: bool = False  # of what the caller prefers in latency or throughput


@dataclass(frozen=True, slots=True)
class Plan:
    """The attempts in order, what was left out, and the choice that was made for each model."""

    attempts: tuple[Attempt, ...]
    excluded: tuple[Exclusion, ...] = ()
    choices: tuple[Choice, ...] = ()
    # The caller's own order: it is not chosen again after a failure.
    is_fixed: bool = False

    @property
    def shut(self) -> frozenset[int]:
        """The endpoints that failed and whose time to be tried again is to come."""
        scored = (one for choice in self.choices for one in choice.scored)
        return frozenset(endpoint_id for tier, _, endpoint_id, _, _ in scored if tier == SHUT)

    def record(self) -> dict[str, Any]:
        """What is kept with the generation; the choice for the first model decides."""
        found: dict[str, Any] = {
            "excluded": [
                {"endpoint_id": one.candidate.endpoint_id, "provider": one.candidate.provider_name,
                 "model": one.candidate.model, "reason": one.reason, "detail": one.detail}
                for one in self.excluded[:ENDPOINTS_RECORDED]
            ],
            "order": [one.candidate.endpoint_id for one in self.attempts[:ENDPOINTS_RECORDED]],
            "is_fixed": self.is_fixed,
        }  # fmt: skip
        if self.choices:
            found["choice"] = self.choices[0].record()
        return found


def plan(
    *,
    groups: Sequence[Sequence[Candidate]],
    need: Need,
    preferences: ProviderPreferences,
    router: Router,
    now: float,
    seed: str,
    prompt: Prefixes = UNSEEN,
    variants: Sequence[Sequence[str]] = (),
    histories: Mapping[int, History] = NO_HISTORIES,
    wall: float = 0.0,
) -> Plan:
    """The order of attempts: a model's endpoints, then each fallback model's, the best first in each.

    `variants` are those of the groups' names; `histories` and `wall` (seconds since 1970) serve soft thresholds and
    prices by the time of day.
    """
    attempts: list[Attempt] = []
    excluded: list[Exclusion] = []
    choices: list[Choice] = []
    is_fixed = bool(preferences.order)
    if preferences.partition == "none":
        groups = [[candidate for group in groups for candidate in group]]
    for i, group in enumerate(groups):
        wishes = wishes_of(variants[i] if i < len(variants) else (), preferences)
        weights = PRESETS[wishes.sort or "balanced"]
        fitting, refused = sift(group, need, wishes)
        excluded += refused
        if not fitting:
            continue
        demand = router.demand(
            model=fitting[0].model, tokens=need.input_estimate, max_tokens=need.max_tokens, units=need.units,
            weights=weights, tools="tools" in need.parameters, prompt=UNSEEN if is_fixed else prompt, now=now,
            minute=int(wall // 60) % MINUTES,
        )  # fmt: skip
        choice = router.choose(fitting, demand, now=now, draw=draw_of(seed), seed=seed, explores=not is_fixed)
        choices.append(choice)
        ranked = [Attempt(fitting[i], demand) for i in choice.ranked()]
        if preferences.least_throughput or preferences.most_latency:
            seen = [histories.get(one.candidate.endpoint_id) for one in ranked]
            ranked = [
                replace(one, falls_short=_falls_short(history, preferences, wall))
                for one, history in zip(ranked, seen, strict=True)
            ]
            ranked.sort(key=lambda one: one.falls_short)
        if is_fixed:
            ranked.sort(key=lambda one: _place(one.candidate, preferences.order))
        elif not preferences.allow_fallbacks:
            ranked = ranked[:1]
        attempts += ranked
    return Plan(tuple(attempts), tuple(excluded), tuple(choices), is_fixed)


def again(*, left: Sequence[Attempt], router: Router, now: float, seed: str, waited: float = 0.0) -> Attempt:
    """Of the attempts left after a failure, `waited` seconds after the request came, the one to make now.

    Those that fall short of what the caller prefers come after all others, as in the plan.
    """
    first = left[0]
    alike = [one for one in left if one.demand is first.demand]
    group = [one for one in alike if not one.falls_short] or alike
    if len(group) == 1:
        return group[0]
    choice = router.choose(
        [one.candidate for one in group],
        replace(first.demand, waited=waited),
        now=now,
        draw=draw_of(seed),
        seed=seed,
        explores=False,
    )
    return group[choice.chosen]


def _falls_short(history: History | None, wishes: ProviderPreferences, now: float) -> bool:
    """Whether the last five minutes break one of the soft thresholds; what was not measured breaks none."""
    if history is None:
        return False
    seen = history.over(300, now=now)
    slow = any(seen.throughput.get(name, bound) < bound for name, bound in wishes.least_throughput.items())
    return slow or any(seen.latency_s.get(name, bound) > bound for name, bound in wishes.most_latency.items())


def _place(candidate: Candidate, order: Sequence[str]) -> int:
    return next((i for i, name in enumerate(order) if matches(name, candidate)), len(order))
