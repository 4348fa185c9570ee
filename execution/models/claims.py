"""Work that is claimed by workers."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Claim(models.Model):
    """Work that one worker at a time may do: a lease, and a fence that grows with every claim."""

    lease_owner = models.CharField(max_length=100, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    # When a worker was last told of this work: the poller rings again after a while.
    rung_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
