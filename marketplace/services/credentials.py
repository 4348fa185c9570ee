"""Providers' credentials: where the catalogue file takes them from, and what may be told of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from marketplace.lib import crypto
from marketplace.models import Provider

ENV = "env:"
KEPT = "kept:"


@dataclass(slots=True)
class Found:
    """Credentials in clear, which of them come from the environment, and what could not be found."""

    values: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def opened(provider: Provider) -> dict[str, str] | None:
    """The credentials in clear; None when they were sealed with a key or for an origin that is gone."""
    try:
        return provider.credentials()
    except crypto.WrongSecret:
        return None


def find(said: Mapping[str, str], *, provider: Provider) -> Found:
    """What a file says, with `env:NAME` looked up and `kept:FINGERPRINT` taken from the provider as it is stored.

    `provider` carries the base URL that its credentials were sealed for: those of another origin are not kept.
    """
    found = Found()
    stored = opened(provider) or {}
    for name, value in said.items():
        if value.startswith(ENV):
            variable = value.removeprefix(ENV)
            found.sources[name] = value
            if variable in os.environ:
                found.values[name] = os.environ[variable]
            else:
                found.missing.append(f"the environment has no {variable}")
        elif value.startswith(KEPT):
            if name in stored and crypto.has_fingerprint(stored[name], value.removeprefix(KEPT)):
                found.values[name] = stored[name]
                if name in provider.secret_sources:
                    found.sources[name] = provider.secret_sources[name]
            else:
                found.missing.append(f"no stored {name} at this address has the fingerprint {value}")
        else:
            found.values[name] = value
    return found


def is_waiting(provider: Provider) -> bool:
    """Whether a credential is to come from the environment and is not there yet."""
    return any(source.removeprefix(ENV) not in os.environ for source in provider.secret_sources.values())


def told(provider: Provider) -> dict[str, str] | None:
    """Each credential as `env:NAME` where it came from there, else `kept:FINGERPRINT`; None when they do not open."""
    values = opened(provider)
    if values is None:
        return None
    names = [*values, *(name for name in provider.secret_sources if name not in values)]
    return {name: provider.secret_sources.get(name) or f"{KEPT}{crypto.fingerprint(values[name])}" for name in names}
