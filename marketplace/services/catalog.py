"""Putting a catalogue file into the database: what is said becomes so, what is not said stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from marketplace.catalogue import reader
from marketplace.catalogue.form import Catalogue, ModelEntry, Offer, ProviderEntry
from marketplace.lib import crypto
from marketplace.models import Account, Endpoint, Hardware, Model, Price, Provider, Publisher
from marketplace.services import prices

HOUSE_SLUG = "turnpike"


@dataclass(slots=True)
class Applied:
    """What applying a catalogue did."""

    changed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(text: str) -> Catalogue:
    """The catalogue a text says, checked against the dialects that this installation speaks."""
    registry = import_string(settings.DIALECT_REGISTRY)
    return reader.read(text, provider_share_bps=settings.PROVIDER_SHARE_BPS, dialects=frozenset(registry))


@transaction.atomic
def apply(catalogue: Catalogue) -> Applied:
    """Make providers, models, endpoints and prices as the catalogue says. Applying twice changes nothing.

    Endpoints of a provider that the file no longer lists are switched off, never deleted.
    """
    done = Applied()
    for provider in catalogue.providers:
        _apply_provider(provider, done)
    for entry in catalogue.models:
        _describe(entry, done)
    return done


def house_account() -> Account:
    """The platform's own account: it owns what nobody else does."""
    account, _ = Account.objects.get_or_create(
        slug=HOUSE_SLUG,
        defaults={"name": "Turnpike", "kind": Account.Kind.ORGANISATION, "roles": [Account.Role.OPERATOR]},
    )
    return account


def set_hardware(*, sku: str, name: str, position: int, nano_per_second: int, **facts: int) -> Hardware:
    """Make or change a hardware class and its price; `facts` are gpu_memory_gb, cpus, memory_gb."""
    hardware, _ = Hardware.objects.update_or_create(sku=sku, defaults={"name": name, "position": position, **facts})
    # A price per second is a thousand times the price per millisecond: nano/s x 1000 per million ms.
    prices.set_prices(hardware=hardware, prices={"hardware_ms": nano_per_second * 1000})
    return hardware


def _apply_provider(entry: ProviderEntry, done: Applied) -> None:
    account = _owner(entry, done)
    known = Provider.objects.filter(slug=entry.slug).first()
    provider = known or Provider(slug=entry.slug)
    before = _facts(provider)
    provider.name, provider.dialect, provider.base_url = entry.name, entry.dialect, entry.base_url
    provider.account = account
    provider.policy = entry.policy.model_dump(exclude_defaults=True)
    provider.is_simulated = entry.simulated
    credentials, missing = _credentials(entry)
    provider.is_active = not missing
    for name in missing:
        done.warnings.append(f"{entry.slug}: the environment has no {name}; the provider is switched off until it has.")
    sealed_before = provider.sealed_credentials
    if known is None or known.base_url != before["base_url"] or _opened(known) != credentials:
        provider.seal(credentials)
    if known is None or _facts(provider) != before or provider.sealed_credentials != sealed_before:
        provider.save()
        done.changed.append(f"provider {entry.slug}")
    listed = [_apply_offer(provider, offer, done).pk for offer in entry.models]
    gone = provider.endpoints.filter(is_active=True).exclude(pk__in=listed).update(is_active=False)
    if gone:
        done.changed.append(f"{gone} endpoints of {entry.slug} switched off")


def _facts(provider: Provider) -> dict[str, object]:
    names = ("name", "dialect", "base_url", "account_id", "policy", "is_simulated", "is_active")
    return {name: getattr(provider, name) for name in names}


def _opened(provider: Provider) -> dict[str, object] | None:
    try:
        return provider.credentials()
    except crypto.WrongSecret:
        return None  # sealed with a key or for an origin that is gone: to be sealed anew


def _owner(entry: ProviderEntry, done: Applied) -> Account:
    if entry.account is None:
        return house_account()
    account = Account.objects.filter(slug=entry.account).first()
    if account is None:
        done.warnings.append(f"{entry.slug}: there is no account {entry.account!r}; the house owns it for now.")
        return house_account()
    return account


def _credentials(entry: ProviderEntry) -> tuple[dict[str, str], list[str]]:
    """The credentials with `env:NAME` replaced, and the names that the environment does not have."""
    found, missing = {}, []
    for key, value in entry.credentials.items():
        if value.startswith("env:"):
            name = value.removeprefix("env:")
            if name in os.environ:
                found[key] = os.environ[name]
            else:
                missing.append(name)
        else:
            found[key] = value
    return found, missing


def _apply_offer(provider: Provider, offer: Offer, done: Applied) -> Endpoint:
    model = _model(offer, done)
    wanted = {
        "context_length": offer.context_length,
        "max_output": offer.max_output,
        "input_modalities": list(offer.modalities.input),
        "output_modalities": list(offer.modalities.output),
        "parameters": offer.parameters,
        "quantization": offer.quantization,
        "is_active": True,
    }
    endpoint = Endpoint.objects.filter(model=model, provider=provider, upstream=offer.upstream).first()
    if endpoint is None:
        endpoint = Endpoint.objects.create(model=model, provider=provider, upstream=offer.upstream, **wanted)
        done.changed.append(f"endpoint {offer.model} at {provider.slug}")
    elif any(getattr(endpoint, name) != value for name, value in wanted.items()):
        for name, value in wanted.items():
            setattr(endpoint, name, value)
        endpoint.save()
        done.changed.append(f"endpoint {offer.model} at {provider.slug}")
    for kind, table in ((Price.Kind.PRICE, offer.price), (Price.Kind.COST, offer.cost)):
        if prices.set_prices(endpoint=endpoint, kind=kind, prices=table):
            done.changed.append(f"{kind} of {offer.model} at {provider.slug}")
    return endpoint


def _model(offer: Offer, done: Applied) -> Model:
    """The offered model, widened to what this endpoint can do."""
    author, _, slug = offer.model.partition("/")
    publisher, _ = Publisher.objects.get_or_create(slug=author, defaults={"name": author})
    model, made = Model.objects.get_or_create(
        publisher=publisher,
        slug=slug,
        defaults={
            "name": slug,
            "input_modalities": list(offer.modalities.input),
            "output_modalities": list(offer.modalities.output),
        },
    )
    wider = {
        "input_modalities": _union(model.input_modalities, offer.modalities.input),
        "output_modalities": _union(model.output_modalities, offer.modalities.output),
        "context_length": max(model.context_length or 0, offer.context_length),
        "max_output": max(model.max_output or 0, offer.max_output or 0) or None,
    }
    if any(getattr(model, name) != value for name, value in wider.items()):
        for name, value in wider.items():
            setattr(model, name, value)
        model.save()
    if made:
        done.changed.append(f"model {offer.model}")
    return model


def _union(known: Sequence[str], more: Sequence[str]) -> list[str]:
    return [*known, *(one for one in more if one not in known)]


def _describe(entry: ModelEntry, done: Applied) -> None:
    model = Model.objects.named(entry.model).first()
    if model is None:
        done.warnings.append(f"{entry.model} is described and no provider offers it; left out.")
        return
    wanted = {
        "name": entry.name or model.name,
        "description": entry.description,
        "tokenizer": entry.tokenizer,
        "is_example": entry.example,
        "facts": entry.facts.model_dump(mode="json", exclude_defaults=True),
    }
    if any(getattr(model, name) != value for name, value in wanted.items()):
        for name, value in wanted.items():
            setattr(model, name, value)
        model.save()
        done.changed.append(f"model {entry.model}")
