"""Which endpoints can serve a request at all, and which filter removed each of the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from routing.adapters.intake import refusal
from routing.canonical import ProviderPreferences
from routing.selection.candidates import Candidate, Need

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

Found = tuple[str, str] | None  # (reason, detail) for leaving an endpoint out
Filter = Callable[[Candidate, Need, ProviderPreferences], Found]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An endpoint that cannot serve the request; `reason` is a word of the public vocabulary, `detail` for people."""

    candidate: Candidate
    reason: str
    detail: str


def sift(
    candidates: Sequence[Candidate], need: Need, wishes: ProviderPreferences
) -> tuple[list[Candidate], list[Exclusion]]:
    """(those that can serve the request, the others with the first reason of each)."""
    active = _active(wishes)
    fitting: list[Candidate] = []
    excluded: list[Exclusion] = []
    for candidate in candidates:
        for refuse in active:
            if (found := refuse(candidate, need, wishes)) is not None:
                excluded.append(Exclusion(candidate, *found))
                break
        else:
            fitting.append(candidate)
    return _preferred(fitting, need), excluded


def matches(name: str, candidate: Candidate) -> bool:
    """Whether a caller's word for a provider means this one: its slug, a variant of it, or its name."""
    slug = name.lower()
    return candidate.provider == slug or candidate.provider.startswith(f"{slug}/") or candidate.provider_name == name


def _active(wishes: ProviderPreferences) -> list[Filter]:
    """The filters that can remove something, given these wishes: most requests have none."""
    active: list[Filter] = []
    if wishes.only or wishes.ignore or wishes.order:
        active.append(_who)
    if wishes.data_collection == "deny" or wishes.zdr:
        active.append(_data)
    if wishes.quantizations:
        active.append(_quantization)
    if wishes.max_price:
        active.append(_prices)
    active += (_content, _size)
    if wishes.require_parameters:
        active.append(_abilities)
    return active


def _who(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    if wishes.only and not any(matches(name, candidate) for name in wishes.only):
        return "allowed_providers", "not in provider.only"
    if any(matches(name, candidate) for name in wishes.ignore):
        return "allowed_providers", "in provider.ignore"
    if wishes.order and not wishes.allow_fallbacks and not any(matches(name, candidate) for name in wishes.order):
        return "allowed_providers", "not in provider.order, and fallbacks are off"
    return None


def _data(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    if wishes.data_collection == "deny" and candidate.collects_data:
        return "data_policy:training", "may keep prompts or train on them"
    if wishes.zdr and not candidate.keeps_nothing:
        return "data_policy:zdr", "does not promise to keep nothing"
    return None


def _quantization(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    admitted = set(wishes.quantizations).union(*(WIDER.get(name, ()) for name in wishes.quantizations))
    if candidate.quantization not in admitted:
        return "quantization", f"runs at {candidate.quantization}"
    return None


def _prices(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    if candidate.is_by_time and not {"prompt", "completion"}.isdisjoint(wishes.max_price):
        return "max_price", "it is charged by time and promises no price of a token"
    prices = candidate.dearest(need.input_bound)
    for unit, most in wishes.max_price.items():
        if prices.get(unit, 0) > most:
            return "max_price", f"its {unit} price is above provider.max_price"
    return None


def _content(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    if missing := need.inputs - candidate.inputs - {"file"}:  # the words of a document may do
        return "input_modalities", f"takes no {', '.join(sorted(missing))}"
    if need.media and (reason := refusal(need.media, dialect=candidate.dialect, inputs=candidate.inputs)):
        return "input_modalities", reason
    if not need.outputs <= candidate.outputs:
        return "output_modalities", f"gives no {', '.join(sorted(need.outputs - candidate.outputs))}"
    return None


def _size(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    if need.input_estimate > candidate.context_length:
        detail = f"the input is about {need.input_estimate} tokens, its context {candidate.context_length}"
        return "context_length", detail
    if need.max_tokens is not None and need.max_tokens > candidate.most_output():
        return "context_length", f"gives at most {candidate.most_output()} tokens, {need.max_tokens} are asked for"
    return None


def _abilities(candidate: Candidate, need: Need, wishes: ProviderPreferences) -> Found:
    missing = sorted(name for name in need.parameters if not supports(candidate, name))
    if missing:
        return "require_parameters", f"does not support {', '.join(missing)}"
    return None


def supports(candidate: Candidate, name: str) -> bool:
    """Whether the endpoint takes the parameter, under any of its names."""
    return bool(SAME.get(name, frozenset({name})) & candidate.parameters)


def _preferred(fitting: list[Candidate], need: Need) -> list[Candidate]:
    for name in PREFERRED:
        if name in need.parameters:
            able = [candidate for candidate in fitting if supports(candidate, name)]
            fitting = able or fitting
    return fitting
