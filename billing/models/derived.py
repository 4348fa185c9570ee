"""What is derived from the books in the background, up to a mark. Can be thrown away and made again."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from billing.models.ledger import LedgerAccount
from marketplace.models import Account, ApiKey, User
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


class DaybookLine(models.Model):
    """What one UTC day added to a ledger account, by kind of transaction, model, provider and endpoint.

    Up to the cursor `daybook`; wallets are left out, their days are the usage's.
    """

    ledger_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    kind = models.CharField(max_length=24)
    model = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    # As the charge names it; 0 for none.
    endpoint = models.BigIntegerField(default=0)
    count = models.BigIntegerField(default=0)
    # What the requests cost in all, of which `amount_nano` is this ledger account's part.
    gross_nano = models.BigIntegerField(default=0)
    amount_nano = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["ledger_account", "day", "kind", "model", "provider", "endpoint"], name="daybook_line_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["day"], name="daybook_by_day")]

    def __str__(self) -> str:
        return f"{self.ledger_account} on {self.day}: {self.amount_nano}"


class UsageHour(models.Model):
    """What an account was charged in one closed UTC hour, by key, member, kind, model, provider and endpoint."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="+")
    # Who made the key, or who asked in the portal without one.
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    hour = models.DateTimeField()
    kind = models.CharField(max_length=16)
    model = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    # The endpoint's number, also of one that is deleted; none for hosted models.
    endpoint_number = models.BigIntegerField(null=True)
    requests = models.BigIntegerField()
    amount_nano = models.BigIntegerField()
    # With the account's own provider keys: what the providers bill it themselves, at list prices.
    upstream_nano = models.BigIntegerField(default=0)
    # As the provider counts: cached tokens are part of the prompt, reasoning of the completion.
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    # Unit -> how many: prompt, completion, hardware_ms, …
    quantities = models.JSONField(default=dict)

    objects: ClassVar[TenantQuerySet[UsageHour]] = TenantQuerySet["UsageHour"].as_manager()  # type: ignore[assignment]

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["account", "hour"], name="usage_of_account"),
            models.Index(fields=["key", "hour"], name="usage_of_key"),
        ]

    def __str__(self) -> str:
        return f"{self.account} at {self.hour}: {self.amount_nano}"
