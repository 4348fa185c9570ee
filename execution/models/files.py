"""The files that go into predictions and come out."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from execution.models.ids import new_id
from execution.models.predictions import Prediction
from marketplace.models import Account
from marketplace.models.tenancy import TenantQuerySet


class File(models.Model):
    """A stored file: uploaded by an account, or made by a prediction of it."""

    id = models.CharField(max_length=26, primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="files")
    prediction = models.ForeignKey(Prediction, null=True, blank=True, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[TenantQuerySet[File]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="file_expiry")]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"
