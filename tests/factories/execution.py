"""Hosted models for tests: rows only; what really runs is built by the `hello` fixture of tests/execution."""

from __future__ import annotations

from typing import Any

from execution import training
from execution.models import Deployment, Prediction
from execution.services import deployments, listings, predictions, trainings
from marketplace.lib import money
from marketplace.models import Account, Hardware, Model, Version
from marketplace.services import accounts, prices
from tests.factories.billing import fund
from tests.factories.marketplace import HardwareFactory, account

BASE = "http://testserver"
CPU = "0.0001"

SCHEMA: dict[str, Any] = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "title": "Input",
                "required": ["text"],
                "properties": {
                    "text": {"type": "string", "title": "Text", "description": "what to say", "x-order": 0},
                    "times": {"type": "integer", "default": 1, "minimum": 1, "maximum": 5, "x-order": 1},
                    "image": {"type": "string", "format": "uri", "title": "Image", "x-order": 2},
                },
            },
            "Output": {"type": "string", "title": "Output"},
        }
    },
}


def hardware(sku: str = "cpu", per_second: str = CPU) -> Hardware:
    """Hardware with a price in dollars per second."""
    HardwareFactory(sku=sku, name=sku.upper())
    machine = Hardware.objects.get(sku=sku)
    # Dollars a second -> nano-USD per million milliseconds.
    prices.set_prices(hardware=machine, prices={"hardware_ms": money.price_per_unit(per_second) // 1000})
    return machine


def hosted(
    *,
    owner: Account | None = None,
    slug: str = "echo",
    machine: Hardware | None = None,
    version_id: str = "",
    royalty_bps: int = 1000,
    visibility: str = Model.Visibility.PUBLIC,
    schema: dict[str, Any] | None = None,
) -> Version:
    """A hosted model with one version, published by `owner` (demo)."""
    publisher = accounts.publisher_of(account=owner or account(email="demo@example.com", slug="demo"))
    model, _ = Model.objects.get_or_create(
        publisher=publisher,
        slug=slug,
        defaults={
            "name": slug,
            "hardware": machine or hardware(),
            "royalty_bps": royalty_bps,
            "visibility": visibility,
        },
    )
    return Version.objects.create(
        id=version_id or f"{model.pk:064x}",
        model=model,
        cog_version="0.23.1",
        openapi_schema=schema or SCHEMA,
        build_path="nowhere",
    )


def payer(dollars: str = "1.00", *, email: str = "payer@example.com", slug: str = "payer") -> Account:
    """An account with credit."""
    made = account(email=email, slug=slug)
    if money.parse_usd(dollars):
        fund(made, dollars)
    return made


def predict(by: Account, version: Version, *, given: Any = None, **more: Any) -> Prediction:
    """A prediction made as the API would."""
    return predictions.create(
        account_id=by.pk,
        key_id=more.pop("key_id", None),
        version=version,
        given={"text": "hi"} if given is None else given,
        base=BASE,
        **more,
    )


def trainable(**more: Any) -> Version:
    """A hosted version whose schema has a training: a file in, weights out."""
    inputs = {"data": {"type": "string", "format": "uri", "x-order": 0}, "rounds": {"type": "integer", "default": 3}}
    parts = {
        "Input": {"title": "Input", "type": "object", "properties": inputs, "required": ["data"]},
        "Output": {"type": "object", "properties": {"weights": {"type": "string", "format": "uri"}}},
    }
    document = training.joined({"paths": {}, **SCHEMA}, {"components": {"schemas": parts}})
    return hosted(slug="trainer", schema=document, **more)


def train(by: Account, version: Version, *, given: Any = None, **more: Any) -> Prediction:
    """A training made as the API would; its destination is <account>/mine, made when it is not there."""
    destination = more.pop("destination", f"{by.slug}/mine")
    if destination == f"{by.slug}/mine" and not Model.objects.owned_by(by.pk).named(destination).exists():
        described = {"owner": by.slug, "name": "mine", "visibility": "private", "hardware": "cpu"}
        listings.create(account=by, given=described)
    return trainings.create(
        account_id=by.pk,
        key_id=more.pop("key_id", None),
        version=version,
        destination=destination,
        given={"data": "data:text/plain,hi"} if given is None else given,
        base=BASE,
        **more,
    )


def deployed(by: Account, version: Version, *, name: str = "kept", least: int = 0, most: int = 2) -> Deployment:
    """A deployment made as the API would."""
    given = {"name": name, "model": version.model.full_slug, "version": version.pk, "hardware": "cpu"}
    sizes = {"min_instances": least, "max_instances": most}
    return deployments.create(account_id=by.pk, given=given | sizes)
