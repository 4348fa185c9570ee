"""Rotation of the key that secrets are encrypted with: every token is written anew with the newest key."""

from __future__ import annotations

from marketplace.lib import crypto
from marketplace.models import Provider, ProviderKey


def rotate() -> tuple[int, int]:
    """Encrypt every stored credential anew; (how many were, how many open with no key of ours)."""
    done = lost = 0
    for provider in Provider.objects.exclude(sealed_credentials=""):
        try:
            token = crypto.rotate(provider.sealed_credentials)
        except crypto.WrongSecret:
            lost += 1
            continue
        # Only what was read is replaced: a key set meanwhile stays.
        Provider.objects.filter(pk=provider.pk, sealed_credentials=provider.sealed_credentials).update(
            sealed_credentials=token
        )
        done += 1
    for row in ProviderKey.objects.exclude(sealed=""):
        try:
            token = crypto.rotate(row.sealed)
        except crypto.WrongSecret:
            lost += 1
            continue
        ProviderKey.objects.filter(pk=row.pk, sealed=row.sealed).update(sealed=token)
        done += 1
    return done, lost
