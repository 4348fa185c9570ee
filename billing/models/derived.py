"""What is derived from the books in the background, up to a mark. Can be thrown away and made again."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from billing.models.ledger import LedgerAccount
from marketplace.models import Account, ApiKey
from marketplace.models.tenancy import TenantQuerySet


class Cursor(models.Model):
    """How far a derivation has come; moved by compare-and-set in the transaction of what it derives."""

    name = models.CharField(primary_key=True, max_length=32)
    position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class Balance(models.Model):
    """The sum of a ledger account's entries up to the cursor `balances`; wallets have rows of their own."""

    ledger_account = models.OneToOneField(LedgerAccount, primary_key=True, on_delete=models.PROTECT)
    amount_nano = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.ledger_account}: {self.amount_nano}"


class UsageHour(models.Model):
    """What an account was charged in one closed UTC hour, by key, kind, model and provider."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="+")
    hour = models.DateTimeField()
    kind = models.CharField(max_length=16)
    model = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    requests = models.BigIntegerField()
    amount_nano = models.BigIntegerField()
    # Unit -> how many: prompt, completion, hardware_ms, …
    quantities = models.JSONField(default=dict)

    objects: ClassVar[TenantQuerySet[UsageHour]] = TenantQuerySet["UsageHour"].as_manager()  # type: ignore[assignment]

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "hour"], name="usage_of_account")]

    def __str__(self) -> str:
        return f"{self.account} at {self.hour}: {self.amount_nano}"
