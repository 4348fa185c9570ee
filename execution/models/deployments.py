"""Deployments: what they run from change to change, and the instances that they keep."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from execution.models.ids import new_id
from marketplace.models import Account, Hardware, Version
from marketplace.models.accounts import SLUG
from marketplace.models.tenancy import TenantQuerySet


class Deployment(models.Model):
    """A version that its owner keeps at hand on instances of their own; what exactly is in its newest release."""

    id = models.CharField(max_length=26, primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="deployments")
    name = models.CharField(max_length=64, validators=[SLUG])
    # What the scaler asks for, since when fewer would do, and when a prediction was last made.
    wanted = models.PositiveIntegerField(default=0)
    quiet_since = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    # Why nothing is kept warm; empty while all is well.
    drained_because = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[TenantQuerySet[Deployment]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "name"], name="deployment_name_once"),
        ]

    def __str__(self) -> str:
        return f"{self.account.slug}/{self.name}"

    @property
    def release(self) -> Release:
        """The newest, which is in force. Every deployment has one."""
        return self.releases.select_related("version__model__publisher", "hardware").order_by("-number")[0]

    @property
    def serving(self) -> Release:
        """The release that runs predictions: the one in force, unless only instances of an earlier one have started."""
        ready = self.instances.filter(ended_at=None, ready_at__isnull=False).order_by("-release__number")
        newest = ready.select_related("release__version__model__publisher", "release__hardware").first()
        return newest.release if newest is not None else self.release


class Release(models.Model):
    """What a deployment runs from one change to the next; never edited."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField()
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="releases")
    hardware = models.ForeignKey(Hardware, on_delete=models.PROTECT, related_name="+")
    min_instances = models.PositiveIntegerField()
    max_instances = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["deployment", "number"], name="release_once"),
            models.CheckConstraint(condition=Q(max_instances__gte=F("min_instances")), name="release_bounds"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment} release {self.number}"


class WarmInstance(models.Model):
    """A model that one worker keeps running for a deployment, paid minute by minute."""

    id = models.CharField(max_length=26, primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    # What was paid stays in the books when its deployment is deleted.
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="instances")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="instances")
    # 0, 1, … below the number of instances wanted: two workers that start one at once take different places.
    place = models.PositiveIntegerField()
    worker = models.CharField(max_length=100)
    beat_at = models.DateTimeField(default=timezone.now)
    # The minute that runs: its number since the start, when it began, and the money set aside for it.
    minute = models.PositiveIntegerField(default=0)
    minute_began_at = models.DateTimeField(default=timezone.now)
    hold_id = models.UUIDField(null=True, blank=True)
    prices = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    ready_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_because = models.TextField(blank=True)

    objects: ClassVar[TenantQuerySet[WarmInstance]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["deployment", "place"], condition=Q(ended_at=None), name="one_instance_in_a_place"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["beat_at"], condition=Q(ended_at=None), name="instance_alive"),
        ]

    def __str__(self) -> str:
        return f"{self.deployment} instance {self.place}"

    @property
    def state(self) -> str:
        """starting, ready or ended."""
        return "ended" if self.ended_at else "ready" if self.ready_at else "starting"
