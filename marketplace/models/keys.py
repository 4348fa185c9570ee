"""API keys: only a digest is kept; the key itself is shown once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from marketplace.models.accounts import Account, User
from marketplace.models.tenancy import TenantQuerySet


class ApiKey(models.Model):
    """One key of an account, with what it may do and spend."""

    class Scope(models.TextChoices):
        """What a key opens; `management` keys cannot call models (as in the field)."""

        INFERENCE = "inference"
        MANAGEMENT = "management"

    class Reset(models.TextChoices):
        """When the spend limit starts anew (UTC; weeks start on Monday)."""

        NEVER = "", "never"
        DAILY = "daily"
        WEEKLY = "weekly"
        MONTHLY = "monthly"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="keys")
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=32)
    scopes = models.JSONField(default=list)
    limit_nano = models.BigIntegerField(null=True, blank=True)
    limit_reset = models.CharField(max_length=8, choices=Reset.choices, default=Reset.NEVER, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    disabled = models.BooleanField(default=False)
    # A playground key lives in a browser's session and is not listed among the account's keys.
    is_playground = models.BooleanField(default=False)
    deleted_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[ApiKey]] = TenantQuerySet["ApiKey"].as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.label})"
