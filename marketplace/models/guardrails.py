"""Guardrails: named policies of an account, assigned to its keys and to its members."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from marketplace.lib import ids
from marketplace.models.accounts import Account, Member, User
from marketplace.models.keys import ApiKey
from marketplace.models.tenancy import TenantQuerySet


class Guardrail(models.Model):
    """What requests under it may use, hold and spend; an empty list of what is allowed (None) allows all."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="guardrails")
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=1000, blank=True)
    allowed_models = models.JSONField(null=True)
    ignored_models = models.JSONField(default=list)
    allowed_providers = models.JSONField(null=True)
    ignored_providers = models.JSONField(default=list)
    enforce_zdr = models.BooleanField(default=False)
    deny_data_collection = models.BooleanField(default=False)
    # For each assigned key, and for each assigned member over all keys that they made.
    limit_nano = models.BigIntegerField(null=True)
    limit_reset = models.CharField(max_length=8, choices=ApiKey.Reset.choices, default=ApiKey.Reset.NEVER, blank=True)
    # [{"pattern", "action", "label"}], and [{"slug", "action", "label", "scan_scope"}]
    content_filters = models.JSONField(default=list)
    content_filter_builtins = models.JSONField(default=list)
    # Budgets were drawn on under it, so the row stays when it is deleted.
    deleted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[Guardrail]] = TenantQuerySet["Guardrail"].as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class GuardrailKey(models.Model):
    """A key's guardrail: one at most."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    guardrail = models.ForeignKey(Guardrail, on_delete=models.CASCADE, related_name="keys")
    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, related_name="guarded")
    assigned_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.key} under {self.guardrail}"


class GuardrailMember(models.Model):
    """A member's guardrail: one at most; it binds every key that they made, and the portal."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    guardrail = models.ForeignKey(Guardrail, on_delete=models.CASCADE, related_name="members")
    member = models.OneToOneField(Member, on_delete=models.CASCADE, related_name="guarded")
    assigned_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.member} under {self.guardrail}"
