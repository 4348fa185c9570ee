"""Payments that come in through Stripe, and what is taken back. Amounts at Stripe's edge are cents, as there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from marketplace.lib import ids
from marketplace.lib.money import NANO_PER_CENT
from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet

if TYPE_CHECKING:
    from billing.models.metered import Invoice

_ONE_SOURCE: Final = Q(topup=None, invoice__isnull=False) | Q(topup__isnull=False, invoice=None)


class Customer(models.Model):
    """An account as Stripe knows it, with the card that it saved."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.PROTECT, related_name="customer")
    customer_id = models.CharField(max_length=64, unique=True)
    payment_method_id = models.CharField(max_length=64, blank=True)
    card = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.account}: {self.customer_id}"


class TopUp(models.Model):
    """One purchase of credit: asked for, and paid or not."""

    class State(models.TextChoices):
        """Pending is unknown to us, not unpaid: Stripe is asked again until it is one of the others."""

        PENDING = "pending"
        ACTION_REQUIRED = "action_required", "waits for the bank's confirmation"
        PAID = "paid"
        FAILED = "failed"
        CANCELED = "canceled"

    OPEN: ClassVar = (State.PENDING, State.ACTION_REQUIRED)

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="topups")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    amount_cents = models.BigIntegerField()
    fee_cents = models.BigIntegerField(default=0)
    # On credit and fee together; known before an automatic charge, and after a payment on Stripe's page.
    tax_cents = models.BigIntegerField(default=0)
    tax_calculation_id = models.CharField(max_length=64, blank=True)
    is_automatic = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    session_id = models.CharField(max_length=100, blank=True)
    payment_intent_id = models.CharField(max_length=64, null=True, unique=True)  # unique where known
    receipt_url = models.URLField(max_length=500, blank=True)
    error = models.CharField(max_length=300, blank=True)
    refunded_cents = models.BigIntegerField(default=0)
    refunded_tax_cents = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[TopUp]] = TenantQuerySet["TopUp"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(is_automatic=True, state__in=["pending", "action_required"]),
                name="one_automatic_topup_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(refunded_cents__gte=0, refunded_cents__lte=models.F("amount_cents")),
                name="never_refunded_twice",
            ),
            models.CheckConstraint(
                condition=Q(refunded_tax_cents__gte=0, refunded_tax_cents__lte=models.F("tax_cents")),
                name="tax_never_refunded_twice",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-created_at"], name="topups_of_account")]

    def __str__(self) -> str:
        return f"{self.account}: {self.amount_cents} cents, {self.state}"

    @property
    def total_cents(self) -> int:
        """What the card is charged."""
        return self.amount_cents + self.fee_cents + self.tax_cents

    @property
    def credit_cents(self) -> int:
        """What of it the wallet gets."""
        return self.amount_cents

    def back_nano(self, credit_cents: int) -> int:
        """What leaves the wallet as so much of the credit goes back."""
        return credit_cents * NANO_PER_CENT


class AutoTopUp(models.Model):
    """When and how much to top up without being asked, and how the last tries went."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.PROTECT, related_name="auto_topup")
    is_enabled = models.BooleanField(default=False)
    threshold_nano = models.BigIntegerField()
    amount_cents = models.BigIntegerField()
    monthly_cap_cents = models.BigIntegerField()
    failures = models.PositiveSmallIntegerField(default=0)
    try_after = models.DateTimeField(null=True)
    stopped_because = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.account}: {self.amount_cents} cents below {self.threshold_nano}"


class Returned(models.Model):
    """Money that goes back of a payment: of a top-up's or of an invoice's, one of both."""

    # What of the wallet goes back beside the cents: an invoice counts micro-dollars.
    rounding_nano = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    topup: Any
    invoice: Any

    @property
    def source(self) -> TopUp | Invoice:
        """What was paid."""
        found: TopUp | Invoice = self.topup or self.invoice
        return found


class Refund(Returned):
    """Unused credit on its way back to the card that paid for it, or an invoice's payment that was sent back."""

    class State(models.TextChoices):
        """Pending until Stripe says how it ended; a failed one is credited again."""

        PENDING = "pending"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    topup = models.ForeignKey(TopUp, null=True, on_delete=models.PROTECT, related_name="refunds")
    invoice = models.ForeignKey("Invoice", null=True, on_delete=models.PROTECT, related_name="refunds")
    # Of the credit; its tax goes back with it, our fee only where somebody sent it back at Stripe.
    amount_cents = models.BigIntegerField()
    tax_cents = models.BigIntegerField(default=0)
    fee_cents = models.BigIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    refund_id = models.CharField(max_length=64, null=True, unique=True)  # unique where known
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=_ONE_SOURCE, name="refund_of_one_payment"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_cents} cents of {self.topup_id or self.invoice_id}, {self.state}"

    @property
    def wallet_nano(self) -> int:
        """What of the wallet goes back."""
        return self.amount_cents * NANO_PER_CENT + self.rounding_nano

    @property
    def total_cents(self) -> int:
        """What the card gets."""
        return self.amount_cents + self.tax_cents + self.fee_cents


class Dispute(Returned):
    """A payment that the cardholder's bank takes back."""

    id = models.CharField(primary_key=True, max_length=64)
    topup = models.ForeignKey(TopUp, null=True, on_delete=models.PROTECT, related_name="disputes")
    invoice = models.ForeignKey("Invoice", null=True, on_delete=models.PROTECT, related_name="disputes")
    amount_cents = models.BigIntegerField()
    # What of it was credit and tax when it was taken, so that a dispute that is won gives back the same.
    credit_cents = models.BigIntegerField(null=True)
    tax_cents = models.BigIntegerField(default=0)
    state = models.CharField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)
    # Staff have thawed the wallet after it was lost: it freezes nothing any more, whatever is told of it again.
    closed_by = models.ForeignKey("Thaw", null=True, on_delete=models.PROTECT, related_name="disputes")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=_ONE_SOURCE, name="dispute_of_one_payment"),
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.state}"

    @property
    def wallet_nano(self) -> int:
        """What of the wallet goes back."""
        return (self.credit_cents or 0) * NANO_PER_CENT + self.rounding_nano


class Thaw(models.Model):
    """Staff's decision that a frozen wallet takes requests again: who, why, and what was written off for it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="thaws")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=300)
    frozen_because = models.CharField(max_length=200)
    written_off_nano = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[Thaw]] = TenantQuerySet["Thaw"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(written_off_nano__gte=0), name="written_off_not_negative"),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-created_at"], name="thaws_of_account")]

    def __str__(self) -> str:
        return f"{self.account}, {self.created_at:%Y-%m-%d}: {self.reason}"


class InboxEvent(models.Model):
    """A webhook that came in; `done` commits together with its effect."""

    id = models.CharField(primary_key=True, max_length=100)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=100, blank=True)
    payload = models.JSONField()
    is_done = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["received_at"], condition=Q(is_done=False), name="events_to_be_done"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class Grant(models.Model):
    """Promotional credit that was given, and until when it lasts."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="grants")
    reference = models.CharField(max_length=100, unique=True)
    amount_nano = models.BigIntegerField()
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[Grant]] = TenantQuerySet["Grant"].as_manager()  # type: ignore[assignment]

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], condition=Q(ended_at=None), name="grants_to_expire"),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.amount_nano} until {self.expires_at}"
