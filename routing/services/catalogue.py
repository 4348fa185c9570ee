"""The models list of the public API: what it can be narrowed by and how it can be ordered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from django.utils import timezone

from marketplace.models import Provider
from marketplace.services import browse
from marketplace.services.browse import Listing, Offer
from marketplace.services.guardrails import NOTHING, Policy, policy_of
from marketplace.services.keys import Caller
from routing.services import popularity
from routing.services.naming import latest
from routing.services.popularity import Popularity
from routing.services.routes import collects_data

VARIANTS: Final = ("free", "nitro", "floor", "exacto", "thinking", "online", "extended")


@dataclass(frozen=True, slots=True)
class Span:
    """From least to most, both included; None is no bound."""

    least: float | None = None
    most: float | None = None

    def holds(self, value: float | None) -> bool:
        """Whether a value lies in it; a value that is not known lies in the unbounded span only."""
        if self.least is None and self.most is None:
            return True
        return value is not None and (self.least or 0) <= value and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What models must be to be listed. Prices are nano-USD per million tokens, names in lower case."""

    text: str = ""
    inputs: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    category: str = ""
    family: str = ""
    region: str = ""
    zdr: bool = False
    distillable: bool | None = None
    least_context: int = 0
    prompt: Span = Span()
    completion: Span = Span()
    age_days: Span = Span()
    indices: Mapping[str, Span] = field(default_factory=dict)

    def holds(self, listing: Listing, *, now: dt.datetime) -> bool:
        """Whether the model is listed. Zero retention, region and provider must hold at one and the same endpoint."""
        row, facts = listing.model, listing.model.facts
        known = {name for offer in listing.offers for name in offer.endpoint.parameters}
        scores = facts.get("benchmarks", {})
        told = f"{row.name} {row.full_slug}".lower()
        return (
            any(self._holds_at(offer) for offer in listing.offers)
            and all(word in told for word in self.text.lower().split())
            and self.inputs <= set(row.input_modalities)
            and self.outputs <= set(row.output_modalities)
            and self.parameters <= known
            and (not self.authors or row.publisher.slug in self.authors)
            and (not self.category or self.category in facts.get("categories", ()))
            and row.tokenizer.lower().startswith(self.family)
            and (self.distillable is None or facts.get("distillable") is self.distillable)
            and (listing.context_length or 0) >= self.least_context
            and self.prompt.holds(price_of(listing, "prompt"))
            and self.completion.holds(price_of(listing, "completion"))
            and self.age_days.holds((now - row.created_at) / dt.timedelta(days=1))
            and all(span.holds(scores.get(name)) for name, span in self.indices.items())
        )

    def _holds_at(self, offer: Offer) -> bool:
        provider = offer.endpoint.provider
        return (
            (not self.providers or bool(self.providers & {provider.slug.lower(), provider.name.lower()}))
            and (not self.zdr or keeps_nothing(provider))
            and (not self.region or provider.policy.get("region", "").lower().startswith(self.region))
        )


Key = Callable[[Listing, Popularity], float | None]


def _score(name: str) -> Key:
    return lambda listing, _: listing.model.facts.get("benchmarks", {}).get(name)


def _average_price(listing: Listing, _: Popularity) -> float | None:
    prompt, completion = price_of(listing, "prompt"), price_of(listing, "completion")
    return None if prompt is None or completion is None else (prompt + completion) / 2


# Name -> what is compared, and whether the highest comes first. What has no such number comes last.
SORTS: Final[Mapping[str, tuple[Key, bool]]] = {
    "newest": (lambda listing, _: listing.model.created_at.timestamp(), True),
    "most-popular": (lambda _, used: used.monthly_requests or None, True),
    "top-weekly": (lambda _, used: used.weekly_tokens or None, True),
    "pricing-low-to-high": (_average_price, False),
    "pricing-high-to-low": (_average_price, True),
    "context-high-to-low": (lambda listing, _: listing.context_length, True),
    "throughput-high-to-low": (lambda _, used: used.tokens_per_s, True),
    "latency-low-to-high": (lambda _, used: used.latency_ms, False),
    "intelligence-high-to-low": (_score("intelligence"), True),
    "coding-high-to-low": (_score("coding"), True),
    "agentic-high-to-low": (_score("agentic"), True),
}
MEASURED: Final = frozenset({"most-popular", "top-weekly", "throughput-high-to-low", "latency-low-to-high"})


def models(*, account_id: int | None, wanted: Wanted, sort: str, policy: Policy = NOTHING) -> list[Listing]:
    """The routed models that an account (None: anybody) may see and that are as wanted, in the order of `sort`.

    Under a policy, those that it admits, with the endpoints that it admits.
    """
    now = timezone.now()
    listed = browse.models(account_id=account_id)
    if policy is not NOTHING:
        listed = [_under(policy, one) for one in listed if policy.admits_model(one.model.full_slug)]
    found = [one for one in listed if one.offers and wanted.holds(one, now=now)]
    return ordered(found, sort=sort, used=popularity.by_model() if sort in MEASURED else {})


def models_of(caller: Caller, *, wanted: Wanted, sort: str) -> list[Listing]:
    """The same for a key, as its guardrails let it use them."""
    policy = policy_of(key_id=caller.key_id, account_id=caller.account_id)
    return models(account_id=caller.account_id, wanted=wanted, sort=sort, policy=policy)


def _under(policy: Policy, listing: Listing) -> Listing:
    return replace(listing, offers=[one for one in listing.offers if _admits(policy, one.endpoint.provider)])


def _admits(policy: Policy, provider: Provider) -> bool:
    return (
        policy.admits_provider(provider.slug)
        and (not policy.zdr or keeps_nothing(provider))
        and (not policy.deny_data_collection or not collects_data(provider))
    )


def ordered(found: Iterable[Listing], *, sort: str, used: Mapping[str, Popularity]) -> list[Listing]:
    """In the order of `sort`; equals stay as they were."""
    key, highest_first = SORTS[sort]

    def place(listing: Listing) -> tuple[bool, float]:
        value = key(listing, used.get(listing.model.full_slug, Popularity()))
        return value is None, 0 if value is None else -value if highest_first else value

    return sorted(found, key=place)


def model(*, full_slug: str, account_id: int | None) -> Listing:
    """One model by its name, by its name and a `:variant`, or by `~author/family-latest`. Raises NotFound."""
    base, _, variant = full_slug.partition(":")
    name = base if variant in VARIANTS else full_slug
    return browse.model(full_slug=latest(name, account_id=account_id) or name, account_id=account_id)


def zdr_offers() -> list[tuple[Listing, Offer]]:
    """The endpoints of public models whose providers keep nothing, model by model."""
    return [
        (listing, offer)
        for listing in browse.models(account_id=None)
        for offer in listing.offers
        if keeps_nothing(offer.endpoint.provider)
    ]


def keeps_nothing(provider: Provider) -> bool:
    """Whether the provider promises to retain no data."""
    return bool(provider.policy.get("zdr"))


def price_of(listing: Listing, unit: str) -> int | None:
    """The cheapest endpoint's price, nano-USD per million; what has no such price has nothing to pay for it.

    None where time is charged: nobody can say what a token comes to.
    """
    if listing.best is not None and listing.best.hardware_ms is not None:
        return None
    return listing.best.prices.get(unit, 0) if listing.best else 0
