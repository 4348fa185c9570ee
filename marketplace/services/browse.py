"""Reading the catalogue for people: the models list with its filters, one model's page, the providers.

Filters run here and not in the database: the two databases differ in what they can ask of JSON, and a
catalogue of some thousand models is read in five queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch, Q

from marketplace.lib import tariffs
from marketplace.models import Endpoint, Model, Price, Provider, Version
from marketplace.services import prices
from marketplace.services.nearby import no_such_model

SORTS = {
    "newest": "Newest first",
    "price": "Lowest input price",
    "context": "Longest context",
    "name": "Name",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One active endpoint and its prices: unit -> nano-USD per million units."""

    endpoint: Endpoint
    prices: Mapping[str, int]

    @property
    def prompt(self) -> int | None:
        """Price of a million input tokens, nano-USD."""
        return self.prices.get("prompt")

    @property
    def completion(self) -> int | None:
        """Price of a million output tokens, nano-USD."""
        return self.prices.get("completion")

    @property
    def headline(self) -> tuple[str, int] | None:
        """Unit and price that it is compared by: input tokens, else what it counts first (images, seconds of film)."""
        if self.prompt is not None:
            return "prompt", self.prompt
        return next(iter(self.other_prices), None)

    @property
    def hardware_ms(self) -> int | None:
        """Where the time that a request runs is charged: its price."""
        return self.prices.get("hardware_ms")

    @property
    def other_prices(self) -> list[tuple[str, int]]:
        """Units beyond input and output tokens."""
        found = tariffs.plain(self.prices)
        return [(unit, nano) for unit, nano in found.items() if unit not in {"prompt", "completion"}]

    @property
    def conditional_prices(self) -> list[tuple[tariffs.Condition, dict[str, int]]]:
        """Condition -> unit -> price that holds then instead."""
        return tariffs.overrides(self.prices)


@dataclass(frozen=True, slots=True)
class Listing:
    """One model as the list and its page show it; offers are the cheapest first."""

    model: Model
    offers: Sequence[Offer]
    hardware_ms: int | None
    version: Version | None

    @property
    def best(self) -> Offer | None:
        """The cheapest offer."""
        return self.offers[0] if self.offers else None

    @property
    def is_by_time(self) -> bool:
        """Whether what it costs is the time that it runs: predictions here, and chats whose upload says so."""
        return self.is_hosted and (self.best is None or self.best.hardware_ms is not None)

    @property
    def is_hosted(self) -> bool:
        """Whether it runs here, by the second."""
        return self.model.hardware_id is not None

    @property
    def is_served(self) -> bool:
        """Whether anybody can run it now: an endpoint takes requests, or a version is there."""
        return bool(self.offers) or (self.is_hosted and self.version is not None)

    @property
    def is_simulated(self) -> bool:
        """Whether only simulated providers serve it."""
        return bool(self.offers) and all(offer.endpoint.provider.is_simulated for offer in self.offers)

    @property
    def chats(self) -> bool:
        """Whether an endpoint answers text with text."""
        return any(
            "text" in offer.endpoint.input_modalities and "text" in offer.endpoint.output_modalities
            for offer in self.offers
            if offer.completion is not None or offer.hardware_ms is not None
        )

    @property
    def context_length(self) -> int | None:
        """Tokens of context: the model's own, else the longest on offer."""
        return self.model.context_length or max((offer.endpoint.context_length for offer in self.offers), default=None)

    @property
    def max_output(self) -> int | None:
        """Most output tokens: the model's own, else the most on offer."""
        given = [offer.endpoint.max_output for offer in self.offers if offer.endpoint.max_output]
        return self.model.max_output or max(given, default=None)


@dataclass(frozen=True, slots=True)
class Filter:
    """What the models list is narrowed by; an empty filter shows all."""

    text: str = ""
    inputs: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    provider: str = ""
    most_nano: int | None = None
    least_context: int | None = None
    sort: str = "newest"

    def holds(self, listing: Listing) -> bool:
        """Whether a model stays in the list; every word of the text must be somewhere in its names or description.

        In names the signs between letters do not count: "gpt4o" finds gpt-4o.
        """
        model = listing.model
        names = f"{model.name} {model.full_slug} {model.publisher.name}".lower()
        told, squeezed = f"{names} {model.description}".lower(), _squeezed(names)
        price = listing.best.prompt if listing.best else None
        return (
            all(word in told or (_squeezed(word) or word) in squeezed for word in self.text.lower().split())
            and self.inputs <= set(listing.model.input_modalities)
            and self.outputs <= set(listing.model.output_modalities)
            and (not self.provider or any(o.endpoint.provider.slug == self.provider for o in listing.offers))
            and (self.most_nano is None or (price is not None and price <= self.most_nano))
            and (self.least_context is None or (listing.context_length or 0) >= self.least_context)
        )


def models(*, account_id: int | None) -> list[Listing]:
    """The models that an account (None: anybody) may see, newest first."""
    found = _listings(Model.objects.visible_to(account_id))
    return narrow(found, narrowed=Filter())


def narrow(listings: Iterable[Listing], *, narrowed: Filter) -> list[Listing]:
    """Those that the filter holds for, in its order, equals by name; what nobody can run comes last in every order."""
    found = [listing for listing in listings if narrowed.holds(listing)]
    found.sort(key=lambda one: (one.model.name.lower(), one.model.pk))
    if narrowed.sort == "price":
        found.sort(key=_by_input_price)
    elif narrowed.sort == "context":
        found.sort(key=lambda one: -(one.context_length or 0))
    elif narrowed.sort != "name":
        found.sort(key=lambda one: one.model.created_at, reverse=True)
    found.sort(key=lambda one: not one.is_served)
    return found


def _squeezed(text: str) -> str:
    """Its letters and digits alone, each word beside the next."""
    return "".join(filter(str.isalnum, text))


def _by_input_price(listing: Listing) -> tuple[bool, int]:
    """Those that charge for input first, then those that charge for something else."""
    price = listing.best.prompt if listing.best else None
    return price is None, price or 0


def model(*, full_slug: str, account_id: int | None) -> Listing:
    """One model that the account may see. Raises NotFound, also for a stranger's private model."""
    found = _listings(Model.objects.visible_to(account_id).named(full_slug))
    if not found:
        raise no_such_model(full_slug, account_id=account_id)
    return found[0]


def providers() -> list[Provider]:
    """Active providers with `models_count`, the number of public models they serve."""
    served = Count(
        "endpoints__model",
        filter=Q(endpoints__is_active=True, endpoints__model__visibility=Model.Visibility.PUBLIC),
        distinct=True,
    )
    return list(Provider.objects.filter(is_active=True).annotate(models_count=served).order_by("name"))


def modalities(listings: Iterable[Listing]) -> tuple[list[str], list[str]]:
    """The input and output modalities that occur, sorted."""
    listings = list(listings)
    inputs = {one for listing in listings for one in listing.model.input_modalities}
    outputs = {one for listing in listings for one in listing.model.output_modalities}
    return sorted(inputs), sorted(outputs)


def _listings(rows: Any) -> list[Listing]:
    active = Endpoint.objects.filter(is_active=True, provider__is_active=True).select_related("provider")
    found = list(
        rows.select_related("publisher", "hardware").prefetch_related(
            Prefetch("endpoints", queryset=active),
            Prefetch("versions", queryset=Version.objects.defer("openapi_schema")),
        )
    )
    priced = prices.snapshots(endpoint_ids=[e.pk for m in found for e in m.endpoints.all()])
    hardware = {
        sku: prices.snapshot(hardware_id=sku).get("hardware_ms")
        for sku in {m.hardware_id for m in found if m.hardware_id}
    }
    listings = []
    for one in found:
        offers = [Offer(e, priced.get(e.pk, {}).get(Price.Kind.PRICE, {})) for e in one.endpoints.all()]
        offers.sort(key=_dearness)
        versions = list(one.versions.all())
        listings.append(Listing(one, offers, hardware.get(one.hardware_id), versions[0] if versions else None))
    return listings


def _dearness(offer: Offer) -> tuple[bool, int, int]:
    """Those that are charged by time come last: nobody can say what a token comes to."""
    return offer.hardware_ms is not None, (offer.prompt or 0) + (offer.completion or 0), offer.endpoint.pk
