"""What was routed: generations and their attempts. No prompt, no answer and no provider's words in them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from execution.models import File
from marketplace.lib import ids
from marketplace.models import Account, ApiKey, Endpoint, Provider, User
from marketplace.models.accounts import SLUG
from marketplace.models.tenancy import TenantQuerySet


class Generation(models.Model):
    """One routed request, from its hold to its charge."""

    class Status(models.TextChoices):
        """The first two are alive: somebody writes their heartbeat."""

        STARTED = "started"
        STREAMING = "streaming"
        FINISHED = "finished"
        FAILED = "failed"
        CANCELED = "canceled"
        SWEPT = "swept"
        WAITING = "waiting"  # a provider works on it; services.video_upkeep looks after it

    LIVE: ClassVar = (Status.STARTED, Status.STREAMING)
    OPEN: ClassVar = (*LIVE, Status.WAITING)

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="generations")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="generations")
    hold_id = models.UUIDField()
    requested_model = models.CharField(max_length=200)
    model = models.CharField(max_length=200, blank=True)
    provider = models.ForeignKey(Provider, null=True, on_delete=models.SET_NULL, related_name="+")
    endpoint = models.ForeignKey(Endpoint, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.STARTED)
    operation = models.CharField(max_length=20, default="chat")  # also the kind of its hold and charge
    streamed = models.BooleanField()
    session_id = models.CharField(max_length=256, blank=True)

    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    usage_source = models.CharField(max_length=10, blank=True)
    cost_nano = models.BigIntegerField(default=0)
    finish_reason = models.CharField(max_length=16, blank=True)
    native_finish_reason = models.CharField(max_length=64, blank=True)
    error_kind = models.CharField(max_length=24, blank=True)
    latency_ms = models.BigIntegerField(null=True)
    generation_ms = models.BigIntegerField(null=True)

    # What the sweeper needs when the process that served it is gone.
    input_tokens = models.BigIntegerField(default=0)
    units = models.JSONField(default=dict)  # what is counted beside tokens: unit -> how many
    delivered_bytes = models.BigIntegerField(default=0)
    prices = models.JSONField(default=dict)
    costs = models.JSONField(default=dict)
    # With the account's own provider key: what the provider is paid directly, and at what prices we reckon it.
    is_byok = models.BooleanField(default=False)
    upstream_nano = models.BigIntegerField(default=0)
    list_prices = models.JSONField(default=dict)
    # Why it went where it went: selection.plan.Plan.record, from which the same choice follows again.
    choice = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[Generation]] = TenantQuerySet["Generation"].as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["account", "-created_at"], name="generations_of_account"),
            models.Index(fields=["-created_at"], name="generations_by_time"),
            models.Index(
                fields=["heartbeat_at"],
                condition=models.Q(status__in=("started", "streaming")),
                name="live_generations",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """`gen-…`, as callers know it."""
        return ids.generation_id(self.id)


class Attempt(models.Model):
    """One endpoint tried for a generation."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="attempts")
    position = models.PositiveSmallIntegerField()
    endpoint = models.ForeignKey(Endpoint, null=True, on_delete=models.SET_NULL, related_name="+")
    provider_name = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    OUTRUN = "outrun"  # canceled: of two that were asked side by side, the other answered first

    # Empty when it answered; else the kind of UpstreamError, or OUTRUN.
    error_kind = models.CharField(max_length=24, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.BigIntegerField()
    is_byok = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["generation", "position"], name="attempt_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider_name}: {self.error_kind or 'ok'}"


class Preset(models.Model):
    """A named way of asking: system prompt, models, preferences and parameters; its newest version counts."""

    class Status(models.TextChoices):
        """Only active ones can be asked with."""

        ACTIVE = "active"
        DISABLED = "disabled"
        ARCHIVED = "archived"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="presets")
    slug = models.CharField(max_length=64, validators=[SLUG])
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=1000, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    status_updated_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[Preset]] = TenantQuerySet["Preset"].as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["slug"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "slug"], name="preset_slug_once")]

    def __str__(self) -> str:
        return f"@preset/{self.slug}"


class PresetVersion(models.Model):
    """What a preset said at one time; never changed."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    preset = models.ForeignKey(Preset, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    # The dialect that `config` is written in: chat, messages or responses.
    dialect = models.CharField(max_length=12)
    config = models.JSONField()
    system_prompt = models.TextField(blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-version"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["preset", "version"], name="preset_version_once")]

    def __str__(self) -> str:
        return f"{self.preset} version {self.version}"


class VideoJob(models.Model):
    """A film that a provider works on for a generation, and how far telling of its end has come (an outbox)."""

    class State(models.TextChoices):
        """The first two are open: their hold is, too."""

        PENDING = "pending"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        FAILED = "failed"
        EXPIRED = "expired"

    OPEN: ClassVar = (State.PENDING, State.IN_PROGRESS)

    generation = models.OneToOneField(Generation, primary_key=True, on_delete=models.CASCADE, related_name="video_job")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    upstream_id = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    error = models.CharField(max_length=500, blank=True)
    file = models.ForeignKey(File, null=True, on_delete=models.SET_NULL, related_name="+")
    # When it is looked at next; while somebody looks, when their lease ends.
    due_at = models.DateTimeField()
    fence = models.PositiveBigIntegerField(default=0)
    deadline_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    callback_url = models.CharField(max_length=2000, blank=True)
    base = models.CharField(max_length=300, blank=True)  # this site's address as the caller wrote it
    webhook_state = models.CharField(max_length=8, blank=True)
    webhook_tries = models.PositiveIntegerField(default=0)
    webhook_due_at = models.DateTimeField(null=True)

    objects: ClassVar[TenantQuerySet[VideoJob]] = TenantQuerySet["VideoJob"].as_manager()  # type: ignore[assignment]

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"], condition=models.Q(state__in=("pending", "in_progress")), name="open_videos"
            ),
            models.Index(fields=["webhook_due_at"], condition=models.Q(webhook_state="due"), name="video_webhooks_due"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """`job-…`, as callers know it."""
        return f"job-{self.pk.hex}"


class EndpointDay(models.Model):
    """What became of an endpoint's calls on a day (UTC): derived from attempts and generations, at any time anew.

    Calls with accounts' own keys are left out: they say nothing of the shared capacity, nor of its price.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    good = models.BigIntegerField(default=0)
    bad = models.BigIntegerField(default=0)
    limited = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "day"], name="endpoint_day_once"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} on {self.day}"

    @property
    def uptime(self) -> float | None:
        """Percent of the calls that were answered; refusals for want of capacity are left out. None without a call."""
        judged = self.good + self.bad
        return 100 * self.good / judged if judged else None


class Turn(models.Model):
    """Something that any process may do, one at a time and not before its time: who moves `due_at` on does it."""

    name = models.CharField(primary_key=True, max_length=64)
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} from {self.due_at}"
