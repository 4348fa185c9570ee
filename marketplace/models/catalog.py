"""The catalogue: who lists what (Publisher, Model, Version) and where it is served (Provider, Endpoint)."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models

from marketplace.lib import crypto
from marketplace.models.accounts import SLUG, Account
from marketplace.models.tenancy import TenantQuerySet


def _text_only() -> list[str]:
    return ["text"]


class Publisher(models.Model):
    """The first half of a model's name; unclaimed ones have no account."""

    slug = models.CharField(max_length=64, unique=True, validators=[SLUG])
    name = models.CharField(max_length=200)
    account = models.OneToOneField(Account, null=True, blank=True, on_delete=models.SET_NULL, related_name="publisher")

    def __str__(self) -> str:
        return self.slug


class Hardware(models.Model):
    """A class of machine that hosted models run on, paid by the second."""

    sku = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=100)
    gpu_memory_gb = models.PositiveIntegerField(default=0)
    cpus = models.PositiveIntegerField(default=1)
    memory_gb = models.PositiveIntegerField(default=1)
    position = models.PositiveIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["position", "sku"]

    def __str__(self) -> str:
        return self.sku

    @property
    def queue(self) -> str:
        """The Celery queue that workers with this hardware listen to."""
        return f"hw-{self.sku}"


class ModelQuerySet(models.QuerySet["Model"]):
    """Models by who may see them."""

    def visible_to(self, account_id: int | None) -> Self:
        """Public models, and the private ones of the account itself."""
        visible = models.Q(visibility=Model.Visibility.PUBLIC)
        if account_id is not None:
            visible |= models.Q(publisher__account_id=account_id)
        return self.filter(visible)

    def owned_by(self, account_id: int) -> Self:
        """The models that the account itself publishes."""
        return self.filter(publisher__account_id=account_id)

    def named(self, full_slug: str) -> Self:
        """The model called `publisher/slug` (at most one)."""
        publisher, _, slug = full_slug.partition("/")
        return self.filter(publisher__slug=publisher, slug=slug)


class Model(models.Model):
    """The advertised thing. It runs where an endpoint serves it, or here when it has hardware."""

    class Visibility(models.TextChoices):
        """A private model is its publisher's alone."""

        PUBLIC = "public"
        PRIVATE = "private"

    publisher = models.ForeignKey(Publisher, on_delete=models.PROTECT, related_name="models")
    slug = models.CharField(max_length=64, validators=[SLUG])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    readme = models.TextField(blank=True)
    license_url = models.URLField(blank=True)
    source_url = models.URLField(blank=True)
    paper_url = models.URLField(blank=True)
    weights_url = models.URLField(blank=True)
    cover_url = models.URLField(blank=True)
    input_modalities = models.JSONField(default=_text_only)
    output_modalities = models.JSONField(default=_text_only)
    context_length = models.PositiveIntegerField(null=True, blank=True)
    max_output = models.PositiveIntegerField(null=True, blank=True)
    tokenizer = models.CharField(max_length=32, default="Other")
    # What else is said of it, in the form of catalogue.form.ModelFacts; only what is known is there.
    facts = models.JSONField(default=dict, blank=True)
    visibility = models.CharField(max_length=8, choices=Visibility.choices, default=Visibility.PUBLIC)
    is_example = models.BooleanField(default=False)
    hardware = models.ForeignKey(Hardware, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    royalty_bps = models.PositiveIntegerField(default=0)
    # Staff vouch for it, and have so many instances of it kept warm at the platform's expense.
    is_official = models.BooleanField(default=False)
    warm_instances = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[ModelQuerySet] = ModelQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering: ClassVar = ["publisher__slug", "slug"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["publisher", "slug"], name="model_name_once"),
            models.CheckConstraint(condition=models.Q(royalty_bps__lte=10_000), name="royalty_at_most_all"),
            models.CheckConstraint(
                condition=models.Q(is_official=True) | models.Q(warm_instances=0), name="only_official_models_kept_warm"
            ),
        ]

    def __str__(self) -> str:
        return self.full_slug

    @property
    def full_slug(self) -> str:
        """`publisher/slug`, the name that requests use."""
        return f"{self.publisher.slug}/{self.slug}"


class VersionManager(models.Manager["Version"]):
    """Versions that have not been deleted. What ran keeps its version: rows that point to one still find it."""

    def get_queryset(self) -> models.QuerySet[Version]:
        """Without the deleted ones."""
        return super().get_queryset().filter(deleted_at=None)


class Version(models.Model):
    """A frozen build of a hosted model; its id says its content."""

    id = models.CharField(max_length=64, primary_key=True)
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="versions")
    # Of a version that a training made: the one whose code it runs, with weights of its own.
    trained_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    cog_version = models.CharField(max_length=32)
    openapi_schema = models.JSONField()
    # Where the runtime finds the build, relative to var/builds.
    build_path = models.CharField(max_length=200)
    size_bytes = models.BigIntegerField(default=0)
    # Where it was first taken from, and which commit or digest of it; empty for an archive.
    source_url = models.CharField(max_length=500, blank=True, default="")
    source_revision = models.CharField(max_length=80, blank=True, default="")
    # Runs that one instance takes at one time.
    concurrency = models.PositiveIntegerField(default=1)
    # How much of a GPU's memory an instance takes; 0: a whole GPU.
    gpu_memory_mib = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[VersionManager] = VersionManager()
    with_deleted: ClassVar[models.Manager[Version]] = models.Manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.id[:12]


class Collection(models.Model):
    """Models that staff have put together under a heading."""

    slug = models.CharField(max_length=64, unique=True, validators=[SLUG])
    name = models.CharField(max_length=200)
    description = models.TextField()
    full_description = models.TextField(blank=True)
    members = models.ManyToManyField(Model, blank=True, related_name="collections")
    position = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["position", "slug"]

    def __str__(self) -> str:
        return self.name


class Provider(models.Model):
    """Who runs endpoints, how they are spoken to, and what they promise about data."""

    slug = models.CharField(max_length=64, unique=True, validators=[SLUG])
    name = models.CharField(max_length=200)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="providers")
    dialect = models.CharField(max_length=32)
    base_url = models.CharField(max_length=500)
    sealed_credentials = models.TextField(blank=True, editable=False)
    # Which credentials came from the environment: name -> "env:VARIABLE". For the export; never a secret.
    secret_sources = models.JSONField(default=dict, blank=True, editable=False)
    policy = models.JSONField(default=dict, blank=True)
    # Its own list of models, fetched on schedule; what of it is not sold: [{upstream, name, problem}].
    listing_url = models.CharField(max_length=500, blank=True)
    listing_due_at = models.DateTimeField(null=True, blank=True)
    listing_fetched_at = models.DateTimeField(null=True, blank=True)
    listing_error = models.CharField(max_length=500, blank=True)
    listing_problems = models.JSONField(default=list, blank=True)
    is_simulated = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Provider]] = TenantQuerySet["Provider"].as_manager()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug

    @property
    def _secret_context(self) -> str:
        # Bound to the origin: pointing a provider at another host does not take its key along.
        return f"provider:{self.slug}@{self.base_url}"

    def seal(self, credentials: dict[str, Any]) -> None:
        """Encrypt the credentials into this row (not saved yet); an empty object clears them."""
        self.sealed_credentials = crypto.encrypt(credentials, context=self._secret_context) if credentials else ""

    def credentials(self) -> dict[str, Any]:
        """The credentials in clear, for the sender only. Raises crypto.WrongSecret."""
        if not self.sealed_credentials:
            return {}
        return crypto.decrypt(self.sealed_credentials, context=self._secret_context)


class Endpoint(models.Model):
    """One place that serves a model."""

    class Hidden(models.TextChoices):
        """Why an endpoint takes no requests; empty when it does, or when the catalogue file left it out."""

        PROBE = "probe", "waits for its probe"
        FAILED = "failed", "failed its probe"
        DISABLED = "disabled", "disabled by its operator"
        VANISHED = "vanished", "no longer listed by its provider"
        NOT_READY = "not_ready", "not ready, says its provider"

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="endpoints")
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="endpoints")
    upstream = models.CharField(max_length=200)
    context_length = models.PositiveIntegerField()
    max_output = models.PositiveIntegerField(null=True, blank=True)
    input_modalities = models.JSONField(default=_text_only)
    output_modalities = models.JSONField(default=_text_only)
    parameters = models.JSONField(default=list, blank=True)
    quantization = models.CharField(max_length=16, default="unknown")
    is_active = models.BooleanField(default=True)
    hidden = models.CharField(max_length=12, choices=Hidden.choices, blank=True)
    # What its provider says it can do and no probe has shown yet: fields of this row by name.
    claim = models.JSONField(default=dict, blank=True)
    # The last probe: {at, passed, results: [{name, passed, detail, milliseconds}]}.
    probe = models.JSONField(default=dict, blank=True)
    probe_due_at = models.DateTimeField(null=True, blank=True)
    from_listing = models.BooleanField(default=False)
    misses = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["model", "provider"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "provider", "upstream"], name="endpoint_once")
        ]

    def __str__(self) -> str:
        return f"{self.model} at {self.provider}"


class Notice(models.Model):
    """Something about a provider that its operator should know."""

    class Kind(models.TextChoices):
        """What it is about."""

        NEW = "new", "New model"
        PRICE = "price", "Price change"
        VANISHED = "vanished", "Vanished"
        PROBE = "probe", "Probe"
        LISTING = "listing", "Listing"

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="notices")
    endpoint = models.ForeignKey(Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="notices")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    text = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.text
