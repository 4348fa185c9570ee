"""Who wants to be told when a model's prices change."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from marketplace.models.accounts import Account, User
from marketplace.models.catalog import Model
from marketplace.models.tenancy import TenantQuerySet


class PriceWatch(models.Model):
    """A person's wish, in an account; prices dated after `told_until` have not been told of yet."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="price_watches")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="price_watches")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="price_watches")
    told_until = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[PriceWatch]] = TenantQuerySet["PriceWatch"].as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "user", "model"], name="price_watch_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} watches {self.model}"
