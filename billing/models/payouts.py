"""Money that goes out to those who earned it: through Stripe Connect, or against their invoice."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from billing.models.ledger import LedgerAccount
from marketplace.lib import ids
from marketplace.lib.money import NANO_PER_CENT
from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet


class Recipient(models.Model):
    """An account as Stripe Connect knows it: whether it can be paid, and when we look at it next."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.PROTECT, related_name="recipient")
    recipient_id = models.CharField(max_length=64, unique=True)
    country = models.CharField(max_length=2)
    is_active = models.BooleanField(default=False)
    # What Stripe waits for, in its words; empty when it waits for nothing.
    needs = models.CharField(max_length=300, blank=True)
    # Why its bank did not take what Stripe sent on; the money is with Stripe.
    bank_error = models.CharField(max_length=300, blank=True)
    paused_because = models.CharField(max_length=300, blank=True)
    try_after = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.account}: {self.recipient_id}"


class Payout(models.Model):
    """One transfer of earnings to their account at Stripe. Taken out of what is owed before it is asked for."""

    class State(models.TextChoices):
        """Pending is unknown to us, not unpaid: Stripe is asked until it is one of the others."""

        PENDING = "pending"
        PAID = "paid"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="payouts")
    amount_cents = models.BigIntegerField()
    # Which earnings it is made of; together they are the amount.
    publisher_nano = models.BigIntegerField()
    provider_nano = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    transfer_id = models.CharField(max_length=64, null=True, unique=True)  # unique where known
    # What Stripe took back of it later; owed again.
    returned_cents = models.BigIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[Payout]] = TenantQuerySet["Payout"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account"], condition=Q(state="pending"), name="one_payout_at_a_time"),
            models.CheckConstraint(
                condition=Q(
                    amount_cents__gt=0,
                    publisher_nano__gte=0,
                    provider_nano=F("amount_cents") * NANO_PER_CENT - F("publisher_nano"),
                ),
                name="payout_is_its_parts",
            ),
            models.CheckConstraint(
                condition=Q(returned_cents__gte=0, returned_cents__lte=F("amount_cents")), name="payout_returned_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-created_at"], name="payouts_of_account")]

    def __str__(self) -> str:
        return f"{self.account}: {self.amount_cents} cents, {self.state}"

    @property
    def amount_nano(self) -> int:
        """What was taken out of what is owed."""
        return self.amount_cents * NANO_PER_CENT

    @property
    def returned_nano(self) -> int:
        """What came back."""
        return self.returned_cents * NANO_PER_CENT


class PaidInvoice(models.Model):
    """A provider's or publisher's invoice for a month that was paid by bank, against what our books say of it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="paid_invoices")
    side = models.CharField(max_length=24, choices=LedgerAccount.Kind.choices)
    provider = models.CharField(max_length=100, blank=True)
    month = models.DateField()
    invoice = models.CharField(max_length=100)
    invoice_cents = models.BigIntegerField()
    # What was earned in the month by our books, corrections that were made in it included.
    booked_nano = models.BigIntegerField()
    paid_on = models.DateField()
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[PaidInvoice]] = TenantQuerySet["PaidInvoice"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "side", "provider", "month"], name="month_settled_once"),
            models.UniqueConstraint(fields=["account", "provider", "invoice"], name="invoice_paid_once"),
            models.CheckConstraint(condition=Q(invoice_cents__gte=0), name="invoice_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.invoice} for {self.month:%Y-%m}"

    @property
    def invoice_nano(self) -> int:
        """What was paid."""
        return self.invoice_cents * NANO_PER_CENT

    @property
    def difference_nano(self) -> int:
        """What was paid beyond what our books say; it is ours to bear."""
        return self.invoice_nano - self.booked_nano
