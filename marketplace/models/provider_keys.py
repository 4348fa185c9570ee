"""Accounts' own keys at providers: requests with them are paid to the provider directly, and a fee to us."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from marketplace.lib import crypto, ids
from marketplace.models.accounts import Account, User
from marketplace.models.catalog import Provider
from marketplace.models.tenancy import TenantQuerySet


class ProviderKey(models.Model):
    """One credential of an account at one provider; write-only, and bound to the provider's origin."""

    public_id = models.UUIDField(unique=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="provider_keys")
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=255, blank=True)
    label = models.CharField(max_length=32)
    sealed = models.TextField(blank=True, editable=False)
    # After the capacity that all share, instead of before it.
    is_fallback = models.BooleanField(default=False)
    sort_order = models.PositiveIntegerField(default=0)
    disabled = models.BooleanField(default=False)
    # Whom it serves; None: everything and everybody of the account.
    allowed_models = models.JSONField(null=True)
    allowed_api_key_hashes = models.JSONField(null=True)
    allowed_user_ids = models.JSONField(null=True)
    deleted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[ProviderKey]] = TenantQuerySet["ProviderKey"].as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["is_fallback", "sort_order", "pk"]

    def __str__(self) -> str:
        return f"{self.label} at {self.provider}"

    @property
    def _secret_context(self) -> str:
        return f"provider-key:{self.public_id}:{self.provider.slug}@{self.provider.base_url}"

    def seal(self, credentials: dict[str, Any]) -> None:
        """Encrypt the credentials into this row (not saved yet)."""
        self.sealed = crypto.encrypt(credentials, context=self._secret_context)

    def credentials(self) -> dict[str, Any]:
        """The credentials in clear, for the sender only. Raises crypto.WrongSecret."""
        return crypto.decrypt(self.sealed, context=self._secret_context)
