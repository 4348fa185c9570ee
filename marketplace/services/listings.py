"""Providers' own lists of models: fetched on schedule, and the endpoints made to agree with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace.catalogue import listing
from marketplace.catalogue.listing import BadListing, Listed
from marketplace.lib import env, http
from marketplace.lib.addresses import Refused
from marketplace.lib.errors import Unprocessable
from marketplace.models import Endpoint, Model, Notice, Provider
from marketplace.services import credentials, endpoints, operators, prices

logger = structlog.get_logger(__name__)

EVERY: Final = dt.timedelta(seconds=env.integer("LISTING_SECONDS", 900, minimum=10))
MOST_BYTES: Final = 16 * 1024 * 1024
SECONDS: Final = 20.0
AT_ONCE: Final = 10


@dataclass(slots=True)
class Reconciled:
    """What a list changed: numbers of endpoints."""

    new: int = 0
    repriced: int = 0
    changed: int = 0
    vanished: int = 0


def fetch_due(*, now: dt.datetime | None = None) -> int:
    """Fetch the lists whose time has come; how many. Of several workers one does each."""
    now = now or timezone.now()
    due = (
        Provider.objects.filter(listing_due_at__lte=now, is_active=True)
        .exclude(listing_url="")
        .order_by("listing_due_at")[:AT_ONCE]
    )
    done = 0
    for provider in due:
        claimed = Provider.objects.filter(pk=provider.pk, listing_due_at=provider.listing_due_at)
        if claimed.update(listing_due_at=now + EVERY):
            refresh(provider)
            done += 1
    return done


def refresh(provider: Provider) -> Reconciled | None:
    """Fetch one provider's list and reconcile; None when it could not be read, which changes no endpoint."""
    try:
        listed = listing.read(fetch(provider))
    except (http.FetchFailed, Refused, BadListing, Unprocessable) as error:
        reason = str(error)[:500]
        if reason != provider.listing_error:  # told once, not every time
            text = f"The listing could not be read: {reason}."
            Notice.objects.create(provider=provider, kind=Notice.Kind.LISTING, text=text[:500])
        Provider.objects.filter(pk=provider.pk).update(listing_error=reason)
        logger.warning("listing_failed", provider=provider.slug, reason=reason)
        return None
    done = reconcile(provider, listed)
    logger.info("listing_read", provider=provider.slug, entries=len(listed), new=done.new, vanished=done.vanished)
    return done


def fetch(provider: Provider) -> bytes:
    """The list's bytes. The provider's key goes along to its own origin only. Raises FetchFailed, Refused."""
    operators.check_address(provider.listing_url, what="listing_url")
    key = (credentials.opened(provider) or {}).get("api_key", "")
    is_own = http.origin_of(provider.listing_url) == http.origin_of(provider.base_url)
    parts: list[bytes] = []
    http.fetch(
        provider.listing_url,
        write=parts.append,
        max_bytes=MOST_BYTES,
        seconds=SECONDS,
        private_origins=settings.PRIVATE_ORIGINS,
        authorization=f"Bearer {key}" if key and is_own else "",
    )
    return b"".join(parts)


@transaction.atomic
def reconcile(provider: Provider, listed: Iterable[Listed]) -> Reconciled:
    """Make the provider's endpoints agree with its list.

    New entries are hidden until their probe passes; new prices are dated rows and hold at once; an entry that is
    missing for the n-th time in a row is hidden. Endpoints that were given by hand are left alone. What cannot be
    sold is kept with its reason for the operator.
    """
    done = Reconciled()
    known = {one.upstream: one for one in endpoints.of_provider(provider).select_related("provider")}
    seen: set[str] = set()
    problems: list[dict[str, str]] = []
    for entry in listed:
        seen.add(entry.upstream)
        endpoint = known.get(entry.upstream)
        problem = entry.problem
        if not problem and endpoint is None:
            try:
                _add(provider, entry)
                done.new += 1
            except Unprocessable as error:
                problem = error.message
        elif not problem and endpoint is not None and endpoint.from_listing:
            try:
                _follow(endpoint, entry, done)
            except Unprocessable as error:
                problem = error.message
        if problem and (endpoint is None or endpoint.from_listing):
            problems.append({"upstream": entry.upstream, "name": entry.name, "problem": problem})
    for upstream, endpoint in known.items():
        if endpoint.from_listing and upstream not in seen:
            done.vanished += _miss(endpoint)
    Provider.objects.filter(pk=provider.pk).update(
        listing_fetched_at=timezone.now(), listing_error="", listing_problems=problems
    )
    return done


def _add(provider: Provider, entry: Listed) -> None:
    model = _model(provider, entry)
    endpoint = endpoints.create(provider, model, upstream=entry.upstream, claim=_claim(entry), from_listing=True)
    if not entry.is_ready:
        Endpoint.objects.filter(pk=endpoint.pk).update(hidden=Endpoint.Hidden.NOT_READY, probe_due_at=None)
    prices.set_prices(endpoint=endpoint, prices=entry.prices)
    notes = " ".join(entry.notes)
    endpoints.note(endpoint, Notice.Kind.NEW, f"{model}: listed as {entry.upstream}, hidden until probed. {notes}")


def _model(provider: Provider, entry: Listed) -> Model:
    """The model that the entry means: by its name at Hugging Face, by author/slug, else one of the provider's own."""
    if entry.hugging_face_id:
        own = Q(publisher__account=None) | Q(publisher__account_id=provider.account_id)
        known = Model.objects.filter(own, facts__hugging_face_id=entry.hugging_face_id).order_by("pk").first()
        if known is not None:
            return known
    facts = {"hugging_face_id": entry.hugging_face_id} if entry.hugging_face_id else {}
    return endpoints.model_for(
        entry.model or f"{provider.slug}/{listing.slugified(entry.upstream)}",
        provider=provider,
        name=entry.name,
        description=entry.description,
        input_modalities=list(entry.inputs),
        output_modalities=list(entry.outputs),
        facts=facts,
    )


def _follow(endpoint: Endpoint, entry: Listed, done: Reconciled) -> None:
    """An endpoint that came from the list: its prices and claims as they are listed now. Raises Unprocessable."""
    if endpoint.misses:
        Endpoint.objects.filter(pk=endpoint.pk).update(misses=0)
    if not entry.is_ready and endpoint.hidden not in {Endpoint.Hidden.NOT_READY, Endpoint.Hidden.DISABLED}:
        Endpoint.objects.filter(pk=endpoint.pk).update(
            is_active=False, hidden=Endpoint.Hidden.NOT_READY, probe_due_at=None
        )
        endpoint.is_active, endpoint.hidden = False, Endpoint.Hidden.NOT_READY
    elif entry.is_ready and endpoint.hidden in {Endpoint.Hidden.NOT_READY, Endpoint.Hidden.VANISHED}:
        Endpoint.objects.filter(pk=endpoint.pk).update(hidden=Endpoint.Hidden.PROBE, probe_due_at=timezone.now())
        endpoint.hidden, endpoint.probe_due_at = Endpoint.Hidden.PROBE, timezone.now()
    if endpoints.reprice(endpoint, price=entry.prices):
        done.repriced += 1
    if endpoints.claim(endpoint, _claim(entry)):
        done.changed += 1


def _miss(endpoint: Endpoint) -> int:
    """Count a miss; 1 when it was one too many."""
    misses = endpoint.misses + 1
    is_gone = misses >= endpoints.MISSES_UNTIL_VANISHED and endpoint.hidden not in {
        Endpoint.Hidden.VANISHED,
        Endpoint.Hidden.DISABLED,
    }
    fields: dict[str, Any] = {"misses": misses}
    if is_gone:
        fields |= {"is_active": False, "hidden": Endpoint.Hidden.VANISHED, "probe_due_at": None}
        text = f"{endpoint.model}: missing from the listing {misses} times in a row; it takes no requests any more."
        endpoints.note(endpoint, Notice.Kind.VANISHED, text)
    Endpoint.objects.filter(pk=endpoint.pk).update(**fields)
    return int(is_gone)


def _claim(entry: Listed) -> dict[str, Any]:
    return {
        "context_length": entry.context_length,
        "max_output": entry.max_output,
        "input_modalities": list(entry.inputs),
        "output_modalities": list(entry.outputs),
        "parameters": list(entry.parameters),
        "quantization": entry.quantization,
    }
