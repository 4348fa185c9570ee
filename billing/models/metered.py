"""Post-paid accounts: staff's decisions on them, and the invoices that Stripe writes for what they used."""

from __future__ import annotations

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from marketplace.lib import ids
from marketplace.lib.money import NANO_PER_CENT
from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet


class Terms(models.Model):
    """Staff's decision on how an account pays: who, why, and how far it may go below zero; 0 is prepaid."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="terms")
    credit_limit_nano = models.BigIntegerField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[Terms]] = TenantQuerySet["Terms"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(credit_limit_nano__gte=0), name="terms_limit_not_negative"),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-created_at"], name="terms_of_account")]
        verbose_name_plural = "terms"

    def __str__(self) -> str:
        return f"{self.account}, {self.created_at:%Y-%m-%d}: {self.credit_limit_nano}"


class InvoiceQuerySet(TenantQuerySet["Invoice"]):
    """Invoices, by what is still to be paid."""

    def owed(self) -> Self:
        """Those that Stripe asks for, or has given up and staff have not."""
        return self.filter(state__in=Invoice.OWED, written_off_nano__lt=F("usage_nano"))


class Invoice(models.Model):
    """What Stripe asks a post-paid account to pay for a period. The wallet owes it until it is paid or written off."""

    class State(models.TextChoices):
        """Stripe's words for it."""

        DRAFT = "draft"
        OPEN = "open"
        PAID = "paid"
        UNCOLLECTIBLE = "uncollectible"
        VOID = "void"

    OWED: ClassVar = (State.OPEN, State.UNCOLLECTIBLE)
    fee_cents: ClassVar[int] = 0  # ours, which there is on top-ups only

    id = models.CharField(primary_key=True, max_length=64)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="invoices")
    number = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=State.choices)
    # What was used, as its lines count it in micro-dollars; and the same in whole cents, line by line, with tax.
    usage_nano = models.BigIntegerField()
    amount_cents = models.BigIntegerField()
    tax_cents = models.BigIntegerField(default=0)
    # What of its payment was sent back by refunds, and of it tax.
    refunded_cents = models.BigIntegerField(default=0)
    refunded_tax_cents = models.BigIntegerField(default=0)
    # What of the usage is owed again as its payment went back, by refunds and disputes; and what staff have given up.
    taken_nano = models.BigIntegerField(default=0)
    written_off_nano = models.BigIntegerField(default=0)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    is_overdue = models.BooleanField(default=False)
    # Lines whose cents are not what they count, rounded half up: to be looked at by a person.
    problem = models.CharField(max_length=300, blank=True)
    url = models.URLField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    objects: ClassVar[InvoiceQuerySet] = InvoiceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(refunded_cents__gte=0, refunded_cents__lte=F("amount_cents") - F("tax_cents")),
                name="invoice_never_refunded_twice",
            ),
            models.CheckConstraint(
                condition=Q(refunded_tax_cents__gte=0, refunded_tax_cents__lte=F("tax_cents")),
                name="invoice_tax_never_refunded_twice",
            ),
            models.CheckConstraint(
                condition=Q(taken_nano__gte=0, written_off_nano__gte=0), name="invoice_debt_not_negative"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-period_end"], name="invoices_of_account")]

    def __str__(self) -> str:
        return f"{self.number or self.id}: {self.state}"

    @property
    def amount_nano(self) -> int:
        """What is asked for with tax, in nano-USD."""
        return self.amount_cents * NANO_PER_CENT

    @property
    def tax_nano(self) -> int:
        """What of it is tax."""
        return self.tax_cents * NANO_PER_CENT

    @property
    def credit_cents(self) -> int:
        """What of it is for usage."""
        return self.amount_cents - self.tax_cents

    @property
    def owed_nano(self) -> int:
        """What of its usage is still asked for, by Stripe or by staff."""
        return max(0, self.usage_nano - self.written_off_nano) if self.state in self.OWED else 0

    @property
    def returned_nano(self) -> int:
        """What of its payment was sent back, with tax."""
        return (self.refunded_cents + self.refunded_tax_cents) * NANO_PER_CENT

    def back_nano(self, credit_cents: int) -> int:
        """What leaves the wallet as so many more of its cents go back: with all of them, all of the usage."""
        whole, before = self.credit_cents, self.refunded_cents
        after = before + credit_cents
        return self.usage_nano * after // whole - self.usage_nano * before // whole if whole else 0


class WriteOff(models.Model):
    """Staff's decision that what is owed of an invoice will not be paid: who, why, how much."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="write_offs")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="write_offs")
    amount_nano = models.BigIntegerField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[TenantQuerySet[WriteOff]] = TenantQuerySet["WriteOff"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="write_off_of_something"),
        ]

    def __str__(self) -> str:
        return f"{self.account}, {self.created_at:%Y-%m-%d}: {self.reason}"


class Meter(models.Model):
    """A meter as `stripe_sync` made it; quantities have no price."""

    name = models.CharField(primary_key=True, max_length=64)
    meter_id = models.CharField(max_length=64)
    price_id = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """A post-paid account's subscription at Stripe, and up to where its usage has been collected into rows."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.PROTECT, related_name="subscription")
    subscription_id = models.CharField(max_length=64, unique=True)
    # The card that its invoices are charged to; without one they are sent by mail.
    payment_method_id = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    collected_until = models.DateTimeField()
    # The account is prepaid again from here on: collected up to here, then canceled.
    ends_at = models.DateTimeField(null=True)
    canceled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.account}: {self.subscription_id}"


class MeterRow(models.Model):
    """What one meter is to count for one account and hour: written first, then sent, once by its identifier."""

    class State(models.TextChoices):
        """Nothing: less than a micro-dollar, which is carried over. Refused: for a person to look at, or to drop."""

        WAITING = "waiting"
        SENT = "sent"
        NOTHING = "nothing"
        REFUSED = "refused"
        DROPPED = "dropped"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="meter_rows")
    meter = models.CharField(max_length=64)
    hour = models.DateTimeField()
    value = models.BigIntegerField()
    # All that was charged to the account in this family up to here; 0 for quantities.
    total_nano = models.BigIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    error = models.CharField(max_length=300, blank=True)
    # Staff's decision that it is never counted at Stripe: who, and why.
    dropped_because = models.CharField(max_length=300, blank=True)
    dropped_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    first_tried_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[MeterRow]] = TenantQuerySet["MeterRow"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "meter", "hour"], name="meter_row_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["hour"], condition=Q(state="waiting"), name="meter_rows_to_send"),
        ]

    def __str__(self) -> str:
        return f"{self.account}, {self.meter} at {self.hour:%Y-%m-%d %H}: {self.value}"
