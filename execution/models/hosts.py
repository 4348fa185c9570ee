"""The workers that live, and where hosts answer for chats."""

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


class Door(models.Model):
    """Where a host answers the gateway for chats, said by itself every few seconds."""

    # Its worker's own name, which stays when that starts again, at another address too.
    node = models.CharField(max_length=150, primary_key=True)
    # As its providers have it in the catalogue.
    address = models.CharField(max_length=500, db_index=True)
    seen_at = models.DateTimeField(default=timezone.now)
    # It was not seen for so long that its endpoints were withdrawn.
    is_lost = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["node"]

    def __str__(self) -> str:
        return self.node
