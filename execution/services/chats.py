"""Versions that serve OpenAI's chat API, as endpoints of the catalogue: the router finds them like any other.

Their provider is the publisher's own, under an address of this host (`execution/agent/chat_door.py`), opened by a token
that only this site can make. What a chat costs is in the upload: its tokens, of which the publisher gets the provider's
share, or the seconds of the model's hardware, of which it gets the royalty.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from billing.rating import ALL_BPS
from execution import schema
from execution.services.endings import UNIT
from marketplace import names
from marketplace.lib.errors import Unprocessable
from marketplace.models import Endpoint, Model, Price, Provider, Publisher, Version
from marketplace.services import prices

DIALECT: Final = "generic"
# What every server of this API is taken to understand.
PARAMETERS: Final = ("max_tokens", "temperature", "top_p", "stop")
POLICY: Final = {"retains": False, "trains": False}


def token() -> str:
    """What opens this site's chat doors."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"turnpike.chat-door", hashlib.sha256).hex()


def address() -> str:
    """Where this host's chat door is, as a provider's base URL. Raises Unprocessable where there is none."""
    if not settings.CHAT_PORT:
        raise Unprocessable(
            "This installation serves no hosted chats: its operator sets TURNPIKE_CHAT_PORT to a free port, the same "
            "for web and worker."
        )
    return f"http://{settings.CHAT_HOST}:{settings.CHAT_PORT}/v1"


def refuse_predictions(version: Version) -> None:
    """Raises Unprocessable for a version that serves chats."""
    if schema.chat_offer(version.openapi_schema) is not None:
        name = version.model.full_slug
        raise Unprocessable(f'{name} answers chats: POST /api/v1/chat/completions with "model": "{name}".')


def offer(*, version: Version) -> None:
    """Put a built version's chats into the catalogue at its price, in place of the model's earlier version.

    Nothing happens for a version that runs predictions. Raises Unprocessable.
    """
    said = schema.chat_offer(version.openapi_schema)
    if said is None:
        return
    with transaction.atomic():
        old = _hosted().filter(model=version.model).exclude(upstream=version.pk)
        old.update(is_active=False, hidden=Endpoint.Hidden.DISABLED)
        _put(version, said)
        Model.objects.filter(pk=version.model_id).update(
            context_length=said["context_length"], max_output=said["max_output"]
        )


def follow_hardware() -> None:
    """What a second costs may have changed: chats that are charged by it follow from now on."""
    rows = _hosted().filter(is_active=True)
    for endpoint in rows.select_related("model__publisher"):
        if UNIT in prices.snapshot(endpoint_id=endpoint.pk):
            _price_by_second(endpoint, endpoint.model)


def withdraw(*, version_id: str) -> None:
    """A deleted version serves no more."""
    _hosted().filter(upstream=version_id).update(is_active=False, hidden=Endpoint.Hidden.DISABLED)


def readdress() -> None:
    """The door of a host that no other reaches may have moved to another port: the providers follow it.

    A host with an address of its own has providers of its own, which are found by it.
    """
    if not settings.CHAT_PORT or _place():
        return
    for provider in Provider.objects.filter(slug__regex=rf"^{names.HOSTED}\d+$").exclude(base_url=address()):
        _seal(provider)


def offered_elsewhere() -> list[Version]:
    """The versions whose chats other hosts offer, or did when they were last seen, and this one does not."""
    missing = set(_others().values_list("upstream", flat=True)) - set(_own().values_list("upstream", flat=True))
    return list(Version.objects.select_related("model__publisher", "trained_from").filter(pk__in=missing))


def offer_here(*, version: Version) -> bool:
    """Offer on this host, too, what another offers and whose build is here; False when nobody offers it any more."""
    said = schema.chat_offer(version.openapi_schema)
    if said is None:
        return False
    with transaction.atomic():
        _put(version, said)
    if _others().filter(upstream=version.pk).exists():
        return True
    # Meanwhile a newer version has taken its place.
    _own().filter(upstream=version.pk).update(is_active=False, hidden=Endpoint.Hidden.DISABLED)
    return False


def retire(*, address: str) -> int:
    """Nobody answers at this address now: its endpoints wait until a host is there again. How many."""
    there = _hosted().filter(is_active=True, provider__base_url=address)
    return there.update(is_active=False, hidden=Endpoint.Hidden.NOT_READY)


def come_back() -> None:
    """This host answers again: what was withdrawn of it is offered, unless a newer version has taken its place."""
    there = _hosted().filter(hidden=Endpoint.Hidden.NOT_READY, provider__base_url=address())
    there.update(is_active=True, hidden="")


def _put(version: Version, said: Mapping[str, int]) -> None:
    """This host's endpoint of the version, at its prices."""
    endpoint, _ = Endpoint.objects.update_or_create(
        model=version.model,
        provider=_provider(version.model.publisher),
        upstream=version.pk,
        defaults={
            "context_length": said["context_length"],
            "max_output": said["max_output"],
            "parameters": list(PARAMETERS),
            "is_active": True,
            "hidden": "",
        },
    )
    if said.get("by_second"):
        _price_by_second(endpoint, version.model)
    else:
        tokens = {"prompt": said["prompt_nano"], "completion": said["completion_nano"]}
        prices.set_prices(endpoint=endpoint, prices=tokens)


def _hosted() -> QuerySet[Endpoint]:
    return Endpoint.objects.filter(provider__slug__startswith=names.HOSTED)


def _own() -> QuerySet[Endpoint]:
    return _hosted().filter(is_active=True, provider__base_url=address())


def _others() -> QuerySet[Endpoint]:
    lost = Q(hidden=Endpoint.Hidden.NOT_READY)
    return _hosted().filter(Q(is_active=True) | lost).exclude(provider__base_url=address())


def _place() -> str:
    """What tells this host's providers from another's: nothing where it is reached from itself alone."""
    if settings.CHAT_HOST == "127.0.0.1":
        return ""
    return "@" + hashlib.sha256(address().encode()).hexdigest()[:8]


def _price_by_second(endpoint: Endpoint, model: Model) -> None:
    """The caller pays the hardware as for a prediction, and the publisher gets the same royalty of it."""
    second = prices.snapshot(hardware_id=model.hardware_id).get(UNIT) if model.hardware_id is not None else None
    if second is None:
        raise Unprocessable(
            f"The hardware of {model.full_slug} has no price per second that a chat could be charged by."
        )
    prices.set_prices(endpoint=endpoint, prices={UNIT: second})
    royalty = second * model.royalty_bps // ALL_BPS
    prices.set_prices(endpoint=endpoint, prices={UNIT: royalty}, kind=Price.Kind.COST)


def _provider(publisher: Publisher) -> Provider:
    if publisher.account_id is None:
        raise Unprocessable(f"The publisher {publisher.slug} has no account that could be paid.")
    slug = f"{names.HOSTED}{publisher.pk}{_place()}"
    provider = Provider.objects.filter(slug=slug).first()
    if provider is None:
        provider = Provider(slug=slug, name=f"{publisher.name} (hosted here)"[:200])
        provider.account_id = publisher.account_id
        provider.dialect, provider.policy = DIALECT, dict(POLICY)
    if provider.pk is None or provider.base_url != address():
        _seal(provider)
    return provider


def _seal(provider: Provider) -> None:
    provider.base_url = address()
    provider.seal({"api_key": token()})
    provider.save()
