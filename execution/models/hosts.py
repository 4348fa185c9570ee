"""The workers that live."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Host(models.Model):
    """A worker that lives, and what it last said of itself: written by itself, every second."""

    name = models.CharField(max_length=100, primary_key=True)
    hardware = models.CharField(max_length=32, db_index=True)
    # The Celery queue that only it listens to.
    queue = models.CharField(max_length=150)
    beat_at = models.DateTimeField(default=timezone.now)
    free = models.PositiveIntegerField(default=0)
    # When the instance that would make room was last used.
    idle_since = models.DateTimeField(null=True, blank=True)
    # By version: runs that it could take, runs that its instances do at one time, how many these are, seconds of a
    # start and of a run.
    instances = models.JSONField(default=dict)
    # Versions whose build lies there.
    stored = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
