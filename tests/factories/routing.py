"""Routed models for tests: endpoints at simulated providers, and callers with money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketplace.lib import money
from marketplace.models import Account, Endpoint, Model, Provider, Publisher
from marketplace.services import keys, prices
from tests.factories.billing import fund
from tests.factories.marketplace import account

PRICES = {"prompt": "0.15", "completion": "0.60"}


@dataclass(frozen=True)
class Buyer:
    """An account with a key and some money."""

    account: Account
    key_id: int
    key: str

    @property
    def caller(self) -> keys.Caller:
        return keys.Caller(self.account.pk, self.key_id, frozenset({"inference"}))


def buyer(*, email: str = "buyer@example.com", dollars: str = "5.00", **limits: Any) -> Buyer:
    """Somebody with a key and promotional credit."""
    made = account(email=email)
    if dollars != "0":
        fund(made, dollars)
    row, plaintext = keys.issue(account=made, name="test", **limits)
    return Buyer(made, row.pk, plaintext)


def model(full_slug: str = "acme/small", **fields: Any) -> Model:
    """A public text model."""
    publisher, _, slug = full_slug.partition("/")
    owner, _ = Publisher.objects.get_or_create(slug=publisher, defaults={"name": publisher.title()})
    made, _ = Model.objects.get_or_create(publisher=owner, slug=slug, defaults={"name": slug.title(), **fields})
    return made


def endpoint(
    base_url: str,
    *,
    model_slug: str = "acme/small",
    provider: str = "sim-one",
    per_million: dict[str, str] | None = None,
    cost_per_million: dict[str, str] | None = None,
    policy: dict[str, Any] | None = None,
    per_unit: dict[str, str] | None = None,
    dialect: str = "openai_chat",
    **fields: Any,
) -> Endpoint:
    """A place that serves the model, at dollars per million tokens and per single other unit."""
    operator = account(email=f"{provider}@providers.example.com")
    seller, _ = Provider.objects.get_or_create(
        slug=provider,
        defaults={
            "name": provider.title(),
            "account": operator,
            "dialect": dialect,
            "base_url": base_url,
            "is_simulated": True,
            "policy": policy or {},
        },
    )
    seller.seal({"api_key": "simulated"})
    seller.save()
    defaults = {"upstream": "simulated", "context_length": 8_192, "max_output": 2_048, "parameters": ["temperature"]}
    made = Endpoint.objects.create(model=model(model_slug), provider=seller, **(defaults | fields))
    for kind, given in (
        ("price", PRICES if per_million is None and per_unit is None else per_million or {}),
        ("cost", cost_per_million or {}),
    ):
        if given or (kind == "price" and per_unit):
            nano = {unit: money.price_per_million(text) for unit, text in given.items()}
            if kind == "price":
                nano |= {unit: money.price_per_unit(text) for unit, text in (per_unit or {}).items()}
            prices.set_prices(endpoint=made, prices=nano, kind=kind)
    return made
