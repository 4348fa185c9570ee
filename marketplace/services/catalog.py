"""Putting a catalogue file into the database: what is said becomes so, what is not said stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from marketplace.catalogue import reader
from marketplace.catalogue.form import Catalogue, ModelEntry, Offer, ProviderEntry, write_price
from marketplace.models import Account, Endpoint, Hardware, Model, Price, Provider, Publisher
from marketplace.services import credentials, prices

HOUSE_SLUG = "turnpike"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that became otherwise: "+" made, "~" changed, "-" switched off; each detail a line."""

    sign: str
    what: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.sign} {self.what}", *(f"    {detail}" for detail in self.details)])


@dataclass(slots=True)
class Applied:
    """What applying a catalogue did."""

    changed: list[Change] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, sign: str, what: str, *details: str) -> None:
        """Remember a change."""
        self.changed.append(Change(sign, what, details))


def read(text: str) -> Catalogue:
    """The catalogue a text says, checked against the dialects that this installation speaks."""
    registry = import_string(settings.DIALECT_REGISTRY)
    return reader.read(text, provider_share_bps=settings.PROVIDER_SHARE_BPS, dialects=frozenset(registry))


@transaction.atomic
def apply(catalogue: Catalogue, *, dry_run: bool = False) -> Applied:
    """Make providers, models, endpoints and prices as the catalogue says. Applying twice changes nothing.

    Endpoints of a provider that the file no longer lists are switched off, never deleted. A dry run tells what
    would change and leaves everything as it was.
    """
    done = Applied()
    for provider in catalogue.providers:
        _apply_provider(provider, done)
    for entry in catalogue.models:
        _describe(entry, done)
    if dry_run:
        transaction.set_rollback(True)
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
    known = Provider.objects.filter(slug=entry.slug).first()
    provider = known or Provider(slug=entry.slug)
    before = _facts(provider)
    moved = known is not None and known.base_url != entry.base_url
    provider.base_url = entry.base_url  # before the credentials: those of another address are not kept
    found = credentials.find(entry.credentials, provider=provider)
    stored = credentials.opened(provider)
    provider.name, provider.dialect = entry.name, entry.dialect
    provider.account = _owner(entry, done)
    provider.policy = entry.policy.model_dump(exclude_defaults=True)
    provider.is_simulated = entry.simulated
    if provider.listing_url != entry.listing_url:
        provider.listing_url, provider.listing_error = entry.listing_url, ""
        provider.listing_due_at = timezone.now() if entry.listing_url else None
    provider.is_active = not (found.missing or entry.disabled)
    provider.secret_sources = found.sources
    for problem in found.missing:
        done.warnings.append(f"{entry.slug}: {problem}; the provider is switched off until it has.")
    details = [f"{name}: {_shown(old)} → {_shown(new)}" for name, old, new in _differences(before, _facts(provider))]
    # What is stored for this address stays while a part of the new is missing: the provider is off until then.
    if known is None or moved or (stored != found.values and not found.missing):
        provider.seal(found.values)
        details += ["credentials: stored anew"] if known else []
    if known is None:
        provider.save()
        done.note("+", f"provider {entry.slug}", f"{entry.dialect} at {entry.base_url}")
    elif details:
        provider.save()
        done.note("~", f"provider {entry.slug}", *details)
    listed = [_apply_offer(provider, offer, done).pk for offer in entry.models]
    unlisted = provider.endpoints.filter(is_active=True).exclude(pk__in=listed)
    if entry.listing_url:
        unlisted = unlisted.exclude(from_listing=True)  # those follow the provider's own list
    for gone in unlisted.select_related("model__publisher"):
        Endpoint.objects.filter(pk=gone.pk).update(is_active=False)
        done.note("-", f"endpoint {gone.model} at {entry.slug}", "switched off: the file no longer lists it")


def _facts(provider: Provider) -> dict[str, Any]:
    account = provider.account.slug if provider.account_id else None
    names = ("name", "dialect", "base_url", "policy", "is_simulated", "is_active", "secret_sources", "listing_url")
    return {"account": account, **{name: getattr(provider, name) for name in names}}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(name, before.get(name), value) for name, value in after.items() if before.get(name) != value]


def _shown(value: Any) -> str:
    """A value as a line of the diff has it."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(one)}" for key, one in sorted(value.items())) or "none"
    if value in (None, ""):
        return "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _owner(entry: ProviderEntry, done: Applied) -> Account:
    if entry.account is None:
        return house_account()
    account = Account.objects.filter(slug=entry.account).first()
    if account is None:
        done.warnings.append(f"{entry.slug}: there is no account {entry.account!r}; the house owns it for now.")
        return house_account()
    return account


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
        "hidden": "",
    }
    what = f"endpoint {offer.model} at {provider.slug}"
    endpoint = Endpoint.objects.filter(model=model, provider=provider, upstream=offer.upstream).first()
    if endpoint is None:
        endpoint = Endpoint.objects.create(model=model, provider=provider, upstream=offer.upstream, **wanted)
        done.note("+", what, f"as {offer.upstream}, {offer.context_length:,} tokens of context")
    elif details := _set(endpoint, wanted):
        done.note("~", what, *details)
    for kind, table in ((Price.Kind.PRICE, offer.price), (Price.Kind.COST, offer.cost)):
        before = prices.snapshot(endpoint_id=endpoint.pk, kind=kind)
        if prices.set_prices(endpoint=endpoint, kind=kind, prices=table):
            done.note(
                "~" if before else "+", f"{kind} of {offer.model} at {provider.slug}", *_price_lines(before, table)
            )
    return endpoint


def _set(row: Endpoint | Model, wanted: Mapping[str, Any]) -> list[str]:
    """Save what is wanted of a row; returns a line for each field that was otherwise."""
    changes = _differences({name: getattr(row, name) for name in wanted}, wanted)
    if changes:
        for name, _, value in changes:
            setattr(row, name, value)
        row.save()
    return [f"{name}: {_shown(old)} → {_shown(new)}" for name, old, new in changes]


def _price_lines(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    units = [*after, *(unit for unit in before if unit not in after)]
    return [
        f"{unit}: {_dollars(unit, before)} → {_dollars(unit, after)}"
        for unit in units
        if before.get(unit) != after.get(unit)
    ]


def _dollars(unit: str, table: Mapping[str, int]) -> str:
    return f"${write_price(unit, table[unit])}" if unit in table else "none"


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
    wider: dict[str, Any] = {
        "input_modalities": _union(model.input_modalities, offer.modalities.input),
        "output_modalities": _union(model.output_modalities, offer.modalities.output),
        "context_length": max(model.context_length or 0, offer.context_length),
        "max_output": max(model.max_output or 0, offer.max_output or 0) or None,
    }
    if publisher.account_id is None:  # listed by a provider and hidden until now
        wider["visibility"] = Model.Visibility.PUBLIC
    details = _set(model, wider)
    if made:
        done.note("+", f"model {offer.model}")
    elif details:
        done.note("~", f"model {offer.model}", *details)
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
    details = _set(model, wanted)
    if details:
        done.note("~", f"model {entry.model}", *details)
