"""Builds, predictions, the files that go in and come out, and deployments."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from execution import training
from execution.states import BuildStatus, Status
from marketplace.lib import ids
from marketplace.models import Account, ApiKey, Hardware, Model, Version
from marketplace.models.accounts import SLUG
from marketplace.models.tenancy import TenantQuerySet


def new_id() -> str:
    """26 lower-case characters, as clients know them."""
    return ids.random_lower(26)


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


class IdempotencyKey(models.Model):
    """A POST that was asked for under a name: the same one again has no second effect."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    # The API key's id as text; "" for the portal.
    asked_by = models.CharField(max_length=32, blank=True)
    route = models.CharField(max_length=100)
    name = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    # What was made; "" while it is being made.
    result = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[TenantQuerySet[IdempotencyKey]] = TenantQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "asked_by", "route", "name"], name="asked_once")
        ]

    def __str__(self) -> str:
        return self.name


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


def labels_of(prediction: Prediction) -> dict[str, Any]:
    """What a charge says of its prediction."""
    return {
        "model": prediction.model.full_slug,
        "version": prediction.version_id,
        "hardware": prediction.hardware.sku,
        "status": prediction.status,
    }
