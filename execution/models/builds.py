"""Builds, and the uploads that they are made of."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from execution.models.claims import Claim
from execution.models.ids import new_id
from execution.states import BuildStatus
from marketplace.models import Account, Model, Version
from marketplace.models.tenancy import TenantQuerySet


class Build(Claim):
    """One folder of sources on its way to a version."""

    Status = BuildStatus

    class Source(models.TextChoices):
        """Where its sources come from."""

        ARCHIVE = "archive"
        GIT = "git"
        IMAGE = "image"

    id = models.CharField(max_length=26, primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="builds")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="builds")
    status = models.CharField(max_length=16, choices=[(s.value, s.value) for s in BuildStatus], default="queued")
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.ARCHIVE)
    # The archive in the file storage and its digest; of a repository, once it has been fetched.
    source_path = models.CharField(max_length=200, blank=True)
    source_sha256 = models.CharField(max_length=64, blank=True)
    # What people call it.
    source_name = models.CharField(max_length=255)
    # A repository's address, what of it is wanted, and the commit found there; or an image's reference and digest.
    source_url = models.CharField(max_length=500, blank=True, default="")
    source_ref = models.CharField(max_length=200, blank=True, default="")
    source_revision = models.CharField(max_length=80, blank=True, default="")
    # What opens it, encrypted, until the build ends.
    source_secret = models.TextField(blank=True, default="")
    log = models.TextField(blank=True)
    error = models.TextField(blank=True)
    version = models.ForeignKey(Version, null=True, blank=True, on_delete=models.SET_NULL, related_name="builds")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[TenantQuerySet[Build]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=Q(status__in=["queued", "building"]), name="build_open")
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.source_name}"

    @property
    def is_over(self) -> bool:
        """Whether the build has ended."""
        return self.status in {"succeeded", "failed", "canceled"}


class Upload(models.Model):
    """An archive on its way here in parts; when it is whole, a build takes it."""

    id = models.CharField(max_length=26, primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    # In order: [name in the file storage, whether the part's digest was given and fits].
    parts = models.JSONField(default=list)
    # Once it is whole: its name in the file storage, and its digest.
    path = models.CharField(max_length=200, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    objects: ClassVar[TenantQuerySet[Upload]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="upload_expiry")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(received__lte=F("size")), name="upload_not_over_its_size"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.received} of {self.size} bytes)"
