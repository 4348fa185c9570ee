"""Wallets, holds and the books. Amounts are nano-USD in BIGINT; entries, transactions and charges are append-only."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from marketplace.lib import ids
from marketplace.models import Account, ApiKey, Guardrail, User
from marketplace.models.tenancy import TenantQuerySet


class Wallet(models.Model):
    """What an account can spend: balance = sum of its ledger entries, held = sum of its open holds.

    Below zero only by its credit limit (post-paid accounts), or frozen (a payment that was taken back
    after it had been spent).
    """

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="wallet")
    balance_nano = models.BigIntegerField(default=0)
    held_nano = models.BigIntegerField(default=0)
    credit_limit_nano = models.BigIntegerField(default=0)
    is_frozen = models.BooleanField(default=False)
    frozen_because = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="held_not_negative"),
            models.CheckConstraint(condition=Q(credit_limit_nano__gte=0), name="credit_limit_not_negative"),
            models.CheckConstraint(
                condition=Q(is_frozen=True) | Q(balance_nano__gte=F("held_nano") - F("credit_limit_nano")),
                name="never_overdrawn",
            ),
        ]

    def __str__(self) -> str:
        return f"wallet of {self.account}"

    @property
    def free_nano(self) -> int:
        """What is neither spent nor held, with what may be spent on credit."""
        return self.balance_nano + self.credit_limit_nano - self.held_nano


class Budget(models.Model):
    """What one key has spent and holds in one period of its limit."""

    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="budgets")
    period_start = models.DateTimeField()
    spent_nano = models.BigIntegerField(default=0)
    held_nano = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "period_start"], name="budget_once"),
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="budget_held_not_negative"),
        ]

    def __str__(self) -> str:
        return f"budget of {self.key} from {self.period_start}"


class Hold(models.Model):
    """Money set aside for one request; it ends exactly once, settled or released."""

    class State(models.TextChoices):
        """Open until a compare-and-set ends it."""

        OPEN = "open"
        SETTLED = "settled"
        RELEASED = "released"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="holds")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="+")
    # Who acts without a key, in the portal.
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    budget = models.ForeignKey(Budget, null=True, on_delete=models.PROTECT, related_name="holds")
    allowances: models.ManyToManyField[Allowance, Any] = models.ManyToManyField("Allowance", related_name="holds")
    kind = models.CharField(max_length=16)
    reference = models.CharField(max_length=64)
    amount_nano = models.BigIntegerField()
    # A hold carved out of another one: its money was moved, and what it does not use moves back.
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    carved_nano = models.BigIntegerField(default=0)
    returned_nano = models.BigIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "reference"], name="hold_once"),
            models.CheckConstraint(condition=Q(amount_nano__gte=0, carved_nano__gte=0), name="hold_not_negative"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], condition=Q(state="open"), name="open_holds_by_expiry"),
            models.Index(fields=["wallet"], condition=Q(state="open"), name="open_holds_by_wallet"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}: {self.state}"


class LedgerAccount(models.Model):
    """One side of the books. Positive is what we owe or have earned, negative what it cost us."""

    class Kind(models.TextChoices):
        """The chart of accounts."""

        WALLET = "wallet"
        PROVIDER_PAYABLE = "provider_payable"
        PUBLISHER_PAYABLE = "publisher_payable"
        PLATFORM_REVENUE = "platform_revenue"
        PROMOTIONAL_EXPENSE = "promotional_expense"
        STRIPE_CLEARING = "stripe_clearing"
        REFUNDS_CLEARING = "refunds_clearing"
        PAYOUTS_CLEARING = "payouts_clearing"
        BANK = "bank"
        FEES = "fees"
        TAX_PAYABLE = "tax_payable"
        BAD_DEBT = "bad_debt"
        SETTLEMENT_LOSS = "settlement_loss"

    kind = models.CharField(max_length=24, choices=Kind.choices)
    account = models.ForeignKey(Account, null=True, on_delete=models.PROTECT, related_name="ledger_accounts")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "account"], name="ledger_account_once"),
            models.UniqueConstraint(fields=["kind"], condition=Q(account=None), name="house_account_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.account or ''}".strip()


class Transaction(models.Model):
    """One thing that happened to money; its entries add up to zero."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    kind = models.CharField(max_length=24)
    reference = models.CharField(max_length=100)
    memo = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "reference"], name="transaction_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Entry(models.Model):
    """An amount added to one ledger account; never changed, never removed."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="entries")
    ledger_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="entries")
    amount_nano = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(amount_nano=0), name="entry_not_zero"),
        ]
        indexes: ClassVar = [models.Index(fields=["ledger_account", "-id"], name="entries_of_ledger_account")]

    def __str__(self) -> str:
        return f"{self.amount_nano} to {self.ledger_account}"


class Charge(models.Model):
    """What one request cost, with the prices, counts and shares that made the amount."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="charges")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="charges")
    kind = models.CharField(max_length=16)
    reference = models.CharField(max_length=64)
    # A correction is a charge of its own, of either sign, that names what it corrects.
    corrects = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="corrections")
    transaction = models.OneToOneField(Transaction, null=True, on_delete=models.PROTECT, related_name="charge")
    amount_nano = models.BigIntegerField()
    bad_debt_nano = models.BigIntegerField(default=0)
    quantities = models.JSONField()
    prices = models.JSONField()
    shares = models.JSONField()
    labels = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[Charge]] = TenantQuerySet["Charge"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "reference"], name="charge_once")]
        indexes: ClassVar = [
            # In the order of the pages, so that each begins where the last one ended (keyset).
            models.Index(fields=["account", "-created_at", "-id"], name="charges_of_account"),
            models.Index(fields=["key", "-created_at", "-id"], name="charges_of_key"),
            models.Index(fields=["created_at"], name="charges_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}: {self.amount_nano}"


class Allowance(models.Model):
    """What one key, or one member over all their keys, has spent and holds of a guardrail's budget in one period."""

    guardrail = models.ForeignKey(Guardrail, on_delete=models.PROTECT, related_name="allowances")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    period_start = models.DateTimeField()
    spent_nano = models.BigIntegerField(default=0)
    held_nano = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["guardrail", "key", "period_start"], condition=Q(user=None), name="allowance_of_key_once"
            ),
            models.UniqueConstraint(
                fields=["guardrail", "user", "period_start"], condition=Q(key=None), name="allowance_of_user_once"
            ),
            models.CheckConstraint(
                condition=Q(key=None, user__isnull=False) | Q(key__isnull=False, user=None), name="allowance_of_one"
            ),
            models.CheckConstraint(condition=Q(held_nano__gte=0), name="allowance_held_not_negative"),
        ]

    def __str__(self) -> str:
        return f"allowance of {self.key or self.user} under {self.guardrail} from {self.period_start}"
