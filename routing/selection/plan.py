"""Which endpoints to try, in what order, and why the others were left out. Pure: state comes in as arguments.

Cheapest healthy endpoint first, by what this request is expected to cost there. An endpoint that is
not well goes last and is never dropped: when all are ill, the least ill is still better than none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from routing.canonical import ProviderPreferences, Usage
from routing.selection.candidates import Candidate, Need

EXPECTED_OUTPUT: Final = 400  # tokens of an answer when the caller sets no cap
# Where some endpoints of a model support one of these and it is asked for, only they are used.
PREFERRED: Final = ("tools", "response_format", "structured_outputs", "verbosity")
SAME: Final[Mapping[str, frozenset[str]]] = {
    "max_tokens": frozenset({"max_tokens", "max_completion_tokens"}),
    "reasoning": frozenset({"reasoning", "reasoning_effort", "include_reasoning"}),
    "structured_outputs": frozenset({"structured_outputs"}),
}
WIDER: Final[Mapping[str, frozenset[str]]] = {
    "fp4": frozenset({"mxfp4", "nvfp4"}),
    "fp8": frozenset({"mxfp8"}),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint has been doing in this process."""

    is_healthy: bool = True
    latency_s: float | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One endpoint to try."""

    candidate: Candidate
    expected_nano: int
    is_healthy: bool


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An endpoint that cannot serve the request; `reason` is a word of the public vocabulary, `detail` for people."""

    candidate: Candidate
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The attempts in order, and what was left out."""

    attempts: tuple[Attempt, ...]
    excluded: tuple[Exclusion, ...] = field(default=())


def plan(
    *,
    groups: Iterable[Sequence[Candidate]],
    need: Need,
    preferences: ProviderPreferences,
    standings: Mapping[int, Standing],
) -> Plan:
    """The order of attempts: a model's endpoints, then each fallback model's, the best first in each."""
    attempts: list[Attempt] = []
    excluded: list[Exclusion] = []
    for group in groups:
        fitting: list[Candidate] = []
        for candidate in group:
            refused = _refusal(candidate, need, preferences)
            if refused is None:
                fitting.append(candidate)
            else:
                excluded.append(Exclusion(candidate, *refused))
        fitting = _preferred(fitting, need)
        ranked = [_attempt(candidate, need, standings) for candidate in fitting]
        ranked.sort(key=_ranking(preferences, standings))
        if not preferences.allow_fallbacks:
            ranked = _without_fallbacks(ranked, preferences)
        attempts += ranked
    return Plan(tuple(attempts), tuple(excluded))


def matches(name: str, candidate: Candidate) -> bool:
    """Whether a caller's word for a provider means this one: its slug, a variant of it, or its name."""
    slug = name.lower()
    return candidate.provider == slug or candidate.provider.startswith(f"{slug}/") or candidate.provider_name == name


def _refusal(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    """(reason, detail) for leaving an endpoint out, or None."""
    for refuse in (_who, _data, _prices, _content, _size, _abilities):
        if (found := refuse(candidate, need, wishes)) is not None:
            return found
    return None


def _who(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    if wishes.only and not any(matches(name, candidate) for name in wishes.only):
        return "allowed_providers", "not in provider.only"
    if any(matches(name, candidate) for name in wishes.ignore):
        return "allowed_providers", "in provider.ignore"
    if wishes.order and not wishes.allow_fallbacks and not any(matches(name, candidate) for name in wishes.order):
        return "allowed_providers", "not in provider.order, and fallbacks are off"
    return None


def _data(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    if wishes.data_collection == "deny" and candidate.collects_data:
        return "data_policy:training", "may keep prompts or train on them"
    if wishes.zdr and not candidate.keeps_nothing:
        return "data_policy:zdr", "does not promise to keep nothing"
    if wishes.quantizations:
        admitted = set(wishes.quantizations).union(*(WIDER.get(name, ()) for name in wishes.quantizations))
        if candidate.quantization not in admitted:
            return "quantization", f"runs at {candidate.quantization}"
    return None


def _prices(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    for unit, most in wishes.max_price.items():
        if candidate.prices.get(unit, 0) > most:
            return "max_price", f"its {unit} price is above provider.max_price"
    return None


def _content(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    if missing := need.inputs - candidate.inputs:
        return "input_modalities", f"takes no {', '.join(sorted(missing))}"
    if missing := need.outputs - candidate.outputs:
        return "output_modalities", f"gives no {', '.join(sorted(missing))}"
    return None


def _size(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    if need.input_estimate > candidate.context_length:
        detail = f"the input is about {need.input_estimate} tokens, its context {candidate.context_length}"
        return "context_length", detail
    if need.max_tokens is not None and need.max_tokens > candidate.most_output():
        return "context_length", f"gives at most {candidate.most_output()} tokens, {need.max_tokens} are asked for"
    return None


def _abilities(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> tuple[str, str] | None:
    if wishes.require_parameters:
        missing = sorted(name for name in need.parameters if not _supports(candidate, name))
        if missing:
            return "require_parameters", f"does not support {', '.join(missing)}"
    return None


def _supports(candidate: Candidate, name: str) -> bool:
    return bool(SAME.get(name, frozenset({name})) & candidate.parameters)


def _preferred(fitting: list[Candidate], need: Need) -> list[Candidate]:
    for name in PREFERRED:
        if name in need.parameters:
            able = [candidate for candidate in fitting if _supports(candidate, name)]
            fitting = able or fitting
    return fitting


def _attempt(candidate: Candidate, need: Need, standings: Mapping[int, Standing]) -> Attempt:
    output = EXPECTED_OUTPUT if need.max_tokens is None else min(EXPECTED_OUTPUT, need.max_tokens)
    usage = Usage(prompt_tokens=need.input_estimate, completion_tokens=output)
    standing = standings.get(candidate.endpoint_id, Standing())
    return Attempt(candidate, candidate.rated(usage, images=need.images).amount_nano, standing.is_healthy)


def _ranking(
    wishes: ProviderPreferences, standings: Mapping[int, Standing]
) -> Callable[[Attempt], tuple[bool, int, float, int, int]]:
    def place(candidate: Candidate) -> int:
        return next((i for i, name in enumerate(wishes.order) if matches(name, candidate)), len(wishes.order))

    def measured(candidate: Candidate) -> float:
        standing = standings.get(candidate.endpoint_id, Standing())
        if wishes.sort == "latency":
            return standing.latency_s if standing.latency_s is not None else float("inf")
        if wishes.sort == "throughput":
            return -standing.tokens_per_s if standing.tokens_per_s is not None else float("inf")
        return 0.0

    def rank(attempt: Attempt) -> tuple[bool, int, float, int, int]:
        candidate = attempt.candidate
        return (
            not attempt.is_healthy,
            place(candidate),
            measured(candidate),
            attempt.expected_nano,
            candidate.endpoint_id,
        )

    return rank


def _without_fallbacks(ranked: list[Attempt], wishes: ProviderPreferences) -> list[Attempt]:
    return ranked if wishes.order else ranked[:1]
