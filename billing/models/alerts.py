"""What an account wants to be told of its money, what it was told, and how far telling has come (an outbox)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from marketplace.lib import ids
from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet


class AlertRule(models.Model):
    """An account's choices; without a row those of the defaults hold."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.CASCADE, related_name="+")
    # Balance below which one alert goes out; none for no alert.
    low_balance_nano = models.BigIntegerField(null=True)
    key_limits = models.BooleanField(default=True)
    by_mail = models.BooleanField(default=True)
    webhook_url = models.CharField(max_length=2000, blank=True)
    # What webhooks are signed with, sealed.
    secret = models.TextField(blank=True)
    # The one before, which signs too until then.
    old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[AlertRule]] = TenantQuerySet["AlertRule"].as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"alerts of {self.account_id}"


class Alert(models.Model):
    """One crossing of a line, told once: while it is not over, the same crossing is not told again."""

    class Kind(models.TextChoices):
        """What happened."""

        LOW_BALANCE = "low_balance", "Low balance"
        KEY_LIMIT = "key_limit", "Key limit"
        TOPUP_FAILED = "topup_failed", "Top-up failed"
        CONFIRMATION_NEEDED = "topup_confirmation", "Top-up to be confirmed"
        INVOICE_REFUSED = "invoice_refused", "Invoice not paid"
        INVOICE_OVERDUE = "invoice_overdue", "Invoice overdue"
        PAYOUT_SENT = "payout_sent", "Payout sent"
        PAYOUT_FAILED = "payout_failed", "Payout failed"
        PAYOUT_RETURNED = "payout_returned", "Payout taken back"
        TEST = "test", "Test"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=24, choices=Kind.choices)
    # What crossed which line when: a key, its period and the percent.
    crossing = models.CharField(max_length=100)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    over_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[Alert]] = TenantQuerySet["Alert"].as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "crossing"], condition=Q(over_at=None), name="crossing_told_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-created_at"], name="alerts_of_account")]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.subject}"


class Delivery(models.Model):
    """An alert on one of its ways."""

    class Way(models.TextChoices):
        """To all who manage the account, or to its address."""

        MAIL = "mail"
        WEBHOOK = "webhook"

    class State(models.TextChoices):
        """Due until it was told, or given up after the last try."""

        DUE = "due", "on its way"
        TOLD = "told", "delivered"
        GIVEN_UP = "given_up", "given up"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    way = models.CharField(max_length=8, choices=Way.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.DUE)
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    # What the last try met, for the owner to read.
    outcome = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["alert", "way"], name="alert_once_by_each_way")]
        indexes: ClassVar = [models.Index(fields=["due_at"], condition=Q(state="due"), name="deliveries_due")]

    def __str__(self) -> str:
        return f"{self.alert_id} by {self.way}: {self.state}"
