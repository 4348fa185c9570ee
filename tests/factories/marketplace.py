"""Accounts, people, keys and a small catalogue."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from factory.declarations import LazyFunction, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory
from factory.helpers import post_generation

from marketplace.models import (
    Account,
    Endpoint,
    Hardware,
    Member,
    Model,
    Price,
    Provider,
    Publisher,
    User,
)
from marketplace.services import accounts

PASSWORD = "secret-pass-9"


def user(email: str) -> User:
    """The user with this address, made with `PASSWORD` when first asked for."""
    return User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD)


def account(*, email: str = "alice@example.com", slug: str = "") -> Account:
    """A personal account with its user."""
    return accounts.open_personal(user=user(email), slug=slug)


def team(*, slug: str = "team", owner: str = "alice@example.com", members: tuple[str, ...] = ()) -> Account:
    """An organisation owned by `owner`, with plain members."""
    made = accounts.open_organisation(user=user(owner), slug=slug, name=slug.title())
    for email in members:
        Member.objects.create(account=made, user=user(email), role=Member.Role.MEMBER)
    return made


class PublisherFactory(DjangoModelFactory[Publisher]):
    """An unclaimed publisher."""

    class Meta:
        model = Publisher
        django_get_or_create = ("slug",)

    slug = "acme"
    name = "Acme"


class ModelFactory(DjangoModelFactory[Model]):
    """A public text model."""

    class Meta:
        model = Model

    publisher = SubFactory(PublisherFactory)
    slug = Sequence(lambda n: f"model-{n}")
    name = SelfAttribute("slug")
    context_length = 8192


class ProviderFactory(DjangoModelFactory[Provider]):
    """A provider that nobody listens for; tests that call one give `base_url`."""

    class Meta:
        model = Provider

    slug = Sequence(lambda n: f"provider-{n}")
    name = SelfAttribute("slug")
    account = LazyFunction(lambda: account(email="operator@example.com", slug="operator"))
    dialect = "openai_chat"
    base_url = "http://127.0.0.1:9/v1"
    is_simulated = True


class EndpointFactory(DjangoModelFactory[Endpoint]):
    """An endpoint; `prices` is unit -> nano-USD per million."""

    class Meta:
        model = Endpoint
        skip_postgeneration_save = True

    model = SubFactory(ModelFactory)
    provider = SubFactory(ProviderFactory)
    upstream = "upstream-name"
    context_length = 8192
    max_output = 1024

    @post_generation
    def prices(self: Endpoint, create: bool, extracted: dict[str, int] | None, **_: Any) -> None:
        """Price rows from now on; $1 and $2 per million tokens unless given."""
        table = extracted or {"prompt": 1_000_000_000, "completion": 2_000_000_000}
        for unit, nano in table.items():
            Price.objects.create(endpoint=self, unit=unit, nano_per_million=nano, effective_from=timezone.now())


class HardwareFactory(DjangoModelFactory[Hardware]):
    """A class of machine; its price is set with services.prices."""

    class Meta:
        model = Hardware
        django_get_or_create = ("sku",)

    sku = "cpu"
    name = "CPU"
