"""YAML to `form.Catalogue`, with every mistake told by its line. Pure: text in, data out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml
from pydantic import ValidationError

from marketplace.catalogue import margins
from marketplace.catalogue.form import Catalogue, Offer

_FORMS = {
    "base_url": "write an address such as https://api.example.com/v1, without query or fragment",
    "listing_url": "write an address such as https://api.example.com/v1/models",
    "model": "write author/slug in lower-case letters, digits, dots, dashes, underscores",
    "slug": "use 1 to 64 lower-case letters, digits, dots, dashes or underscores",
    "account": "use the account's slug",
}


class BadCatalogue(Exception):
    """The file has mistakes; `problems` has one "line N: …" for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read(text: str, *, provider_share_bps: int = 9_500, dialects: frozenset[str] | None = None) -> Catalogue:
    """The catalogue that a YAML text says. Raises BadCatalogue with all mistakes at once."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadCatalogue([f"line {line}: this is no YAML: {error.problem}"]) from None
    if node is None:
        raise BadCatalogue(["line 1: the file is empty: it wants 'providers:' with a list."])
    repeated = _repeated_keys(node)
    if repeated:
        raise BadCatalogue(repeated)
    lines = _Lines(node)
    try:
        catalogue = Catalogue.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise BadCatalogue(
            [
                f"line {lines.of(problem['loc'])}: {'.'.join(map(str, problem['loc']))}: {_said(problem)}"
                for problem in error.errors()
            ]
        ) from None
    problems = _contradictions(catalogue, lines, provider_share_bps, dialects)
    if problems:
        raise BadCatalogue(problems)
    return catalogue


class _Lines:
    """Where in the text each value stands, by its path of keys and places."""

    def __init__(self, root: yaml.Node) -> None:
        self._root = root

    def of(self, path: tuple[Any, ...]) -> int:
        """The line (from 1) of the value, or of the nearest thing around it that is in the text."""
        node = self._root
        for step in path:
            below = _below(node, step)
            if below is None:
                break
            node = below
        return int(node.start_mark.line) + 1


def _below(node: yaml.Node, step: Any) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _repeated_keys(node: yaml.Node) -> list[str]:
    if isinstance(node, yaml.SequenceNode):
        return [problem for item in node.value for problem in _repeated_keys(item)]
    if not isinstance(node, yaml.MappingNode):
        return []
    problems = [problem for _, value in node.value for problem in _repeated_keys(value)]
    counts = Counter(key.value for key, _ in node.value)
    for key, _ in node.value:
        if counts[key.value] > 1:
            problems.append(f"line {key.start_mark.line + 1}: {key.value!r} is said {counts[key.value]} times here")
            counts[key.value] = 0
    return problems


def _said(problem: Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return "this key is not known here; check its spelling"
    if problem["type"] == "missing":
        return "this must be said"
    if problem["type"] == "string_pattern_mismatch":
        return _FORMS.get(problem["loc"][-1], "this has not the right form")
    return text


def _contradictions(catalogue: Catalogue, lines: _Lines, share_bps: int, dialects: frozenset[str] | None) -> list[str]:
    problems = []
    slugs = Counter(provider.slug for provider in catalogue.providers)
    for place, provider in enumerate(catalogue.providers):
        at = ("providers", place)
        if slugs[provider.slug] > 1:
            problems.append(f"line {lines.of((*at, 'slug'))}: the provider {provider.slug!r} stands here twice")
        if dialects is not None and provider.dialect not in dialects:
            known = ", ".join(sorted(dialects))
            problems.append(f"line {lines.of((*at, 'dialect'))}: {provider.dialect!r} is no dialect: use {known}")
        seen: set[tuple[str, str]] = set()
        for number, offer in enumerate(provider.models):
            where = (*at, "models", number)
            if (offer.model, offer.upstream) in seen:
                problems.append(f"line {lines.of(where)}: {offer.model} as {offer.upstream} stands here twice")
            seen.add((offer.model, offer.upstream))
            problems += [f"line {lines.of((*where, 'cost'))}: {text}" for text in _losses(offer, share_bps)]
    return problems


def _losses(offer: Offer, share_bps: int) -> list[str]:
    """A cost above the provider's share would lose money on every request (contracts, Money 1)."""
    if offer.allow_loss:
        return []
    losing = margins.losing_units(prices=offer.price, costs=offer.cost, share_bps=share_bps)
    return [
        f"{offer.model}: the cost of {unit} is more than the provider's share of its price; "
        "raise the price, or say allow_loss: true"
        for unit in losing
    ]
