"""Requests that have one effect however often they are sent."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet


class IdempotencyKey(models.Model):
    """A POST that was asked for under a name: the same one again has no second effect."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    # The API key's id as text; "" for the portal.
    asked_by = models.CharField(max_length=32, blank=True)
    route = models.CharField(max_length=100)
    name = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    # What was made; "" while it is being made.
    result = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[TenantQuerySet[IdempotencyKey]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "asked_by", "route", "name"], name="asked_once")
        ]

    def __str__(self) -> str:
        return self.name
