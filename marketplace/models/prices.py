"""Dated prices per unit, in integers (marketplace.lib.money says the scale)."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from marketplace.models.catalog import Endpoint, Hardware


class PriceQuerySet(models.QuerySet["Price"]):
    """Prices by time."""

    def at(self, moment: dt.datetime) -> Self:
        """The rows in force at a moment."""
        return self.filter(Q(effective_to=None) | Q(effective_to__gt=moment), effective_from__lte=moment)


class Price(models.Model):
    """What one unit costs from a moment on. A change is a new row; old rows stay for the books."""

    class Kind(models.TextChoices):
        """Price: what the caller pays. Cost: what the provider invoices, where it differs."""

        PRICE = "price"
        COST = "cost"

    endpoint = models.ForeignKey(Endpoint, null=True, blank=True, on_delete=models.CASCADE, related_name="prices")
    hardware = models.ForeignKey(Hardware, null=True, blank=True, on_delete=models.CASCADE, related_name="prices")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.PRICE)
    # The unit, and under which condition it costs that (marketplace.lib.tariffs).
    unit = models.CharField(max_length=64)
    nano_per_million = models.BigIntegerField()
    effective_from = models.DateTimeField()
    effective_to = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[PriceQuerySet] = PriceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(nano_per_million__gte=0), name="price_not_negative"),
            models.CheckConstraint(
                condition=Q(endpoint=None, hardware__isnull=False) | Q(endpoint__isnull=False, hardware=None),
                name="price_of_one_thing",
            ),
            models.UniqueConstraint(
                fields=["endpoint", "kind", "unit"],
                condition=Q(effective_to=None, endpoint__isnull=False),
                name="one_open_endpoint_price",
            ),
            models.UniqueConstraint(
                fields=["hardware", "kind", "unit"],
                condition=Q(effective_to=None, hardware__isnull=False),
                name="one_open_hardware_price",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit}: {self.nano_per_million}"
