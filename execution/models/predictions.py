"""Predictions and trainings: hosted runs."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from execution import training
from execution.models.claims import Claim
from execution.models.deployments import Deployment
from execution.models.ids import new_id
from execution.states import Status
from marketplace.models import Account, ApiKey, Hardware, Model, Version
from marketplace.models.tenancy import TenantQuerySet


class Prediction(Claim):
    """One hosted run: its input, what came of it, the money held and charged for it.

    A training is one too: of the version's training function, with another model as its destination. It is claimed,
    paid, canceled and ended by the same moves; only who lists it tells them apart.
    """

    Status = Status

    class Kind(models.TextChoices):
        """What is run of the version; also what the books call its hold and its charge."""

        PREDICTION = "prediction"
        TRAINING = "training"

    class Source(models.TextChoices):
        """Where it was made."""

        API = "api"
        WEB = "web"

    class Example(models.TextChoices):
        """Whether its owner shows it to all who may see the model: its input, output and logs."""

        NONE = "", "not shown"
        SHOWN = "shown", "an example"
        DEFAULT = "default", "the default example"

    id = models.CharField(max_length=26, primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PREDICTION)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="predictions")
    key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="predictions")
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="predictions")
    hardware = models.ForeignKey(Hardware, on_delete=models.PROTECT, related_name="+")
    # Runs on this deployment's instances only, which its owner pays by the minute.
    deployment = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.SET_NULL, related_name="predictions"
    )
    # Of a training: the model that its weights become a version of.
    destination = models.ForeignKey(Model, null=True, blank=True, on_delete=models.PROTECT, related_name="trainings")
    source = models.CharField(max_length=4, choices=Source.choices, default=Source.API)
    status = models.CharField(max_length=16, choices=[(s.value, s.value) for s in Status], default="starting")

    # Files inside are written "turnpike-file:<id>"; services.files turns them into links when they are shown.
    input = models.JSONField(default=dict)
    output = models.JSONField(null=True, blank=True)
    logs = models.TextField(blank=True)
    error = models.TextField(null=True, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    # Grows with every change that readers of the stream are to see.
    revision = models.PositiveIntegerField(default=0)
    data_removed = models.BooleanField(default=False)
    example = models.CharField(max_length=8, choices=Example.choices, blank=True, default=Example.NONE)

    hold_id = models.UUIDField(null=True, blank=True)
    # Unit -> nano-USD per million units, as it was when the prediction was made.
    prices = models.JSONField(default=dict)
    # How much run time the hold pays for, and how much was run.
    covered_ms = models.BigIntegerField(default=0)
    run_ms = models.BigIntegerField(default=0)
    amount_nano = models.BigIntegerField(null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[TenantQuerySet[Prediction]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(run_ms__gte=0), name="run_time_not_negative"),
            models.CheckConstraint(
                condition=Q(status__in=["starting", "processing"], completed_at=None)
                | Q(status__in=["succeeded", "failed", "canceled"], completed_at__isnull=False),
                name="an_end_has_a_time",
            ),
            models.UniqueConstraint(fields=["model"], condition=Q(example="default"), name="one_default_example"),
            models.CheckConstraint(
                condition=Q(kind="prediction", destination=None) | Q(kind="training", destination__isnull=False),
                name="a_training_has_a_destination",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "kind", "-created_at", "-id"], name="run_page"),
            models.Index(
                fields=["hardware", "created_at"],
                condition=Q(status__in=["starting", "processing"]),
                name="prediction_open",
            ),
            models.Index(fields=["completed_at"], condition=Q(data_removed=False), name="prediction_keeps_data"),
            models.Index(fields=["model", "-created_at"], condition=~Q(example=""), name="prediction_example"),
        ]

    def __str__(self) -> str:
        return f"{self.id} ({self.status})"

    @property
    def is_over(self) -> bool:
        """Whether the prediction has ended."""
        return self.status in {"succeeded", "failed", "canceled"}

    @property
    def is_training(self) -> bool:
        """Whether the version's training function is run."""
        return self.kind == self.Kind.TRAINING

    @property
    def document(self) -> dict[str, Any]:
        """The schema whose Input and Output are those of this run."""
        document: dict[str, Any] = self.version.openapi_schema
        return training.document_of(document) if self.is_training else document


def labels_of(prediction: Prediction) -> dict[str, Any]:
    """What a charge says of its prediction."""
    return {
        "model": prediction.model.full_slug,
        "version": prediction.version_id,
        "hardware": prediction.hardware.sku,
        "status": prediction.status,
    }
