"""Providers in the hands of their operators: register, change, rotate credentials, switch on and off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from marketplace.catalogue.form import Policy
from marketplace.lib import addresses
from marketplace.lib.errors import Conflict, Forbidden, NotFound, Unprocessable
from marketplace.models import Account, Endpoint, Notice, Provider
from marketplace.models.accounts import SLUG
from marketplace.services import credentials as secrets

MOST_PROVIDERS: Final = 50


def require_operator(account: Account) -> None:
    """Raise Forbidden unless staff have made the account an operator: its endpoints get callers' prompts and money."""
    if Account.Role.OPERATOR not in account.roles:
        raise Forbidden(
            "This account is no operator: ask this installation's staff for the role (manage.py grant_role)."
        )


def mine(*, account_id: int) -> QuerySet[Provider]:
    """The account's providers with `live_count` and `endpoint_count`."""
    live = Count("endpoints", filter=Q(endpoints__is_active=True))
    return Provider.objects.for_account(account_id).annotate(live_count=live, endpoint_count=Count("endpoints"))


def find(*, account_id: int, slug: str) -> Provider:
    """One of the account's providers. Raises NotFound, also for a stranger's."""
    provider = mine(account_id=account_id).filter(slug=slug).first()
    if provider is None:
        raise NotFound(f"You run no provider called {slug}.")
    return provider


def notices(*, account_id: int, provider: Provider | None = None) -> QuerySet[Notice]:
    """What the account's providers have had to tell, the newest first."""
    rows = Notice.objects.filter(provider__account_id=account_id).select_related("provider", "endpoint")
    return rows.filter(provider=provider) if provider else rows


def dialects() -> list[str]:
    """The dialects that this installation speaks to providers."""
    return sorted(import_string(settings.DIALECT_REGISTRY))


def prepare(
    *,
    account: Account,
    slug: str,
    name: str,
    dialect: str,
    base_url: str,
    credentials: Mapping[str, str],
    policy: Policy | None = None,
    listing_url: str = "",
) -> Provider:
    """A provider of the account's, looked at and not stored yet; its addresses are resolved, so no transaction here.

    Raises Forbidden, Conflict for one too many and Unprocessable for what does not fit.
    """
    require_operator(account)
    if mine(account_id=account.pk).count() >= MOST_PROVIDERS:
        raise Conflict(f"An account runs at most {MOST_PROVIDERS} providers.")
    try:
        SLUG(slug)
    except ValidationError as error:
        raise Unprocessable(f"slug: {error.message}") from None
    provider = Provider(slug=slug, account=account)
    _fill(provider, name=name, dialect=dialect, base_url=base_url, policy=policy or Policy(), listing_url=listing_url)
    _seal(provider, credentials)
    return provider


def store(provider: Provider) -> Provider:
    """Store a prepared provider; its listing, if it has one, is fetched at once. Raises Conflict for a taken slug."""
    try:
        with transaction.atomic():
            provider.save()
    except IntegrityError:
        raise Conflict(f"slug: there is a provider called {provider.slug} already: choose another slug.") from None
    return provider


def register(
    *,
    account: Account,
    slug: str,
    name: str,
    dialect: str,
    base_url: str,
    credentials: Mapping[str, str],
    policy: Policy | None = None,
    listing_url: str = "",
) -> Provider:
    """`prepare` and `store` in one; raises what they do."""
    return store(
        prepare(
            account=account,
            slug=slug,
            name=name,
            dialect=dialect,
            base_url=base_url,
            credentials=credentials,
            policy=policy,
            listing_url=listing_url,
        )
    )


def change(provider: Provider, *, credentials: Mapping[str, str] | None = None, **said: Any) -> Provider:
    """Change what is said: name, dialect, base_url, policy, listing_url, is_active; credentials replace the old ones.

    Credentials are bound to the address that they were given for: with a new base_url they must be given anew, and
    every endpoint is probed there before it takes requests. An account whose role was revoked may only switch off.
    Raises Forbidden and Unprocessable.
    """
    if said != {"is_active": False} or credentials is not None:
        require_operator(provider.account)
    before = (provider.base_url, provider.dialect)
    _fill(provider, **said)
    moved = (provider.base_url, provider.dialect) != before
    if credentials is not None:
        _seal(provider, credentials)
    elif provider.base_url != before[0] and provider.sealed_credentials:
        raise Unprocessable("credentials: give them anew: the stored ones are bound to the old address.")
    with transaction.atomic():
        provider.save()
        if moved:
            hidden = provider.endpoints.filter(Q(is_active=True) | Q(hidden=Endpoint.Hidden.FAILED))
            hidden.update(is_active=False, hidden=Endpoint.Hidden.PROBE, probe_due_at=timezone.now())
    return provider


def rotate(provider: Provider, *, credentials: Mapping[str, str]) -> Provider:
    """Replace the credentials; endpoints that failed their probe are probed again. Raises Forbidden."""
    require_operator(provider.account)
    _seal(provider, credentials)
    with transaction.atomic():
        provider.save(update_fields=["sealed_credentials", "secret_sources"])
        provider.endpoints.filter(hidden=Endpoint.Hidden.FAILED).update(
            hidden=Endpoint.Hidden.PROBE, probe_due_at=timezone.now()
        )
    return provider


def refresh(provider: Provider) -> None:
    """Have the listing fetched now. Raises Forbidden, and Conflict where there is none."""
    require_operator(provider.account)
    if not provider.listing_url:
        raise Conflict("This provider has no listing: say its listing_url first.")
    Provider.objects.filter(pk=provider.pk).update(listing_due_at=timezone.now())


def is_waiting(provider: Provider) -> bool:
    """Whether its listing is about to be fetched, or an endpoint to be probed."""
    if not provider.is_active:
        return False
    soon = provider.listing_due_at is not None and provider.listing_due_at <= timezone.now()
    return soon or provider.endpoints.exclude(probe_due_at=None).exists()


def fingerprints(provider: Provider) -> dict[str, str]:
    """Name -> fingerprint of each stored credential, enough to see that a rotation took place."""
    return secrets.told(provider) or {}


def check_address(url: str, *, what: str) -> None:
    """Raise Unprocessable unless the address may be called: public by https, or a private origin that is listed."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Unprocessable(f"{what}: this is no address.") from None
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.query or parts.fragment:
        raise Unprocessable(f"{what}: write an address such as https://api.example.com/v1, without query or login.")
    if parts.scheme == "http" and addresses.origin(host, port) not in settings.PRIVATE_ORIGINS:
        raise Unprocessable(f"{what}: use https; only private origins that the installation lists are called by http.")
    try:
        found = addresses.resolve(host, port)
        addresses.check(host=host, port=port, addresses=found, private_origins=settings.PRIVATE_ORIGINS)
    except addresses.Refused as refused:
        raise Unprocessable(f"{what}: {refused}.") from None


def _fill(
    provider: Provider,
    *,
    name: str | None = None,
    dialect: str | None = None,
    base_url: str | None = None,
    policy: Policy | None = None,
    listing_url: str | None = None,
    is_active: bool | None = None,
) -> None:
    if name is not None:
        provider.name = name
    if dialect is not None:
        if dialect not in dialects():
            raise Unprocessable(f"dialect: {dialect!r} is none that is spoken here: use {', '.join(dialects())}.")
        provider.dialect = dialect
    if base_url is not None and base_url.rstrip("/") != provider.base_url:
        check_address(base_url, what="base_url")
        provider.base_url = base_url.rstrip("/")
    if policy is not None:
        provider.policy = policy.model_dump(exclude_defaults=True)
    if listing_url is not None and listing_url != provider.listing_url:
        if listing_url:
            check_address(listing_url, what="listing_url")
        provider.listing_url, provider.listing_error = listing_url, ""
        provider.listing_due_at = timezone.now() if listing_url else None
    if is_active is not None:
        provider.is_active = is_active


def _seal(provider: Provider, credentials: Mapping[str, str]) -> None:
    for name, value in credentials.items():
        # The environment is the installation's: an operator who could name a variable could read it by a base_url.
        if value.startswith((secrets.ENV, secrets.KEPT)):
            raise Unprocessable(f"credentials: {name}: give the secret itself.")
        if not value.strip() or not value.isprintable():
            raise Unprocessable(f"credentials: {name}: this is empty or has characters that no key has.")
    provider.seal(dict(credentials))
    provider.secret_sources = {}
