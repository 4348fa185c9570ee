"""Telling a prediction's owner of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from execution.models.predictions import Prediction
from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet


class SigningSecret(models.Model):
    """What an account's webhooks are signed with."""

    account = models.OneToOneField(Account, primary_key=True, on_delete=models.CASCADE, related_name="+")
    sealed = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"secret of {self.account_id}"


class Webhook(models.Model):
    """Where a prediction's owner wants to be told of it, and how far telling of its end has come (an outbox)."""

    class State(models.TextChoices):
        """Waiting for the end, to be told of it, told, or given up after the last try."""

        WAITING = "waiting"
        DUE = "due"
        TOLD = "told"
        GIVEN_UP = "given_up"

    prediction = models.OneToOneField(Prediction, primary_key=True, on_delete=models.CASCADE, related_name="webhook")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    url = models.CharField(max_length=2000)
    events = models.JSONField(default=list)
    # This site's address as the caller wrote it: links in the body begin with it.
    base = models.CharField(max_length=300)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    # What the last try met, for the owner to read.
    outcome = models.CharField(max_length=300, blank=True)

    objects: ClassVar[TenantQuerySet[Webhook]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        indexes: ClassVar = [models.Index(fields=["due_at"], condition=Q(state="due"), name="webhook_due")]

    def __str__(self) -> str:
        return f"{self.prediction_id} to {self.url}"
