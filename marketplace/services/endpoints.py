"""Endpoints in the hands of their operators: offered, priced, probed, hidden and shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from marketplace.catalogue import margins
from marketplace.catalogue.form import Offer, write_price
from marketplace.lib import env
from marketplace.lib.errors import Conflict, NotFound, Unprocessable
from marketplace.models import Account, Endpoint, Model, Notice, Price, Provider, Publisher
from marketplace.names import RESERVED
from marketplace.services import prices
from marketplace.services.operators import require_operator, store

# So many fetches in a row a list may miss an entry.
MISSES_UNTIL_VANISHED: Final = env.integer("LISTING_MISSES", 3, minimum=1)
# What a provider may claim and a probe shows.
CLAIMED: Final = ("context_length", "max_output", "input_modalities", "output_modalities", "parameters", "quantization")


def of_provider(provider: Provider) -> QuerySet[Endpoint]:
    """Its endpoints with their models, by name."""
    return provider.endpoints.select_related("model__publisher").order_by("model__publisher__slug", "model__slug", "pk")


def find(*, account_id: int, endpoint_id: int) -> Endpoint:
    """An endpoint of one of the account's providers. Raises NotFound, also for a stranger's."""
    rows = Endpoint.objects.filter(provider__account_id=account_id).select_related("model__publisher", "provider")
    endpoint = rows.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound(f"None of your providers has an endpoint {endpoint_id}.")
    return endpoint


@transaction.atomic
def offer(provider: Provider, said: Offer) -> Endpoint:
    """A new endpoint, hidden until its probe passes.

    Raises Forbidden, Conflict where it is there already, and Unprocessable.
    """
    require_operator(provider.account)
    _check_margin(said.price, said.cost, allow_loss=said.allow_loss)
    model = model_for(said.model, provider=provider, name="")
    claim = {
        "context_length": said.context_length,
        "max_output": said.max_output,
        "input_modalities": list(said.modalities.input),
        "output_modalities": list(said.modalities.output),
        "parameters": said.parameters,
        "quantization": said.quantization,
    }
    try:
        with transaction.atomic():
            endpoint = create(provider, model, upstream=said.upstream, claim=claim)
    except IntegrityError:
        raise Conflict(
            f"{provider.slug} serves {said.model} as {said.upstream} already: change that endpoint."
        ) from None
    prices.set_prices(endpoint=endpoint, prices=said.price)
    prices.set_prices(endpoint=endpoint, prices=said.cost, kind=Price.Kind.COST)
    return endpoint


@transaction.atomic
def offer_all(provider: Provider, said: Sequence[Offer]) -> list[Endpoint]:
    """New endpoints, all or none; a provider that is only prepared is stored with them. Raises as `offer` does."""
    if provider._state.adding:
        store(provider)
    return [offer(provider, one) for one in said]


def create(provider: Provider, model: Model, *, upstream: str, claim: Mapping[str, Any], **more: Any) -> Endpoint:
    """The row, hidden, its probe due now."""
    return Endpoint.objects.create(
        provider=provider,
        model=model,
        upstream=upstream,
        is_active=False,
        hidden=Endpoint.Hidden.PROBE,
        probe_due_at=timezone.now(),
        **claim,
        **more,
    )


def reprice(
    endpoint: Endpoint, *, price: Mapping[str, int], cost: Mapping[str, int] | None = None, allow_loss: bool = False
) -> bool:
    """New dated rows from now on; whether anything changed. Raises Unprocessable for a cost that loses money."""
    if not price:
        raise Unprocessable('price: name at least one price; a free model says prompt: "0".')
    costs = prices.snapshot(endpoint_id=endpoint.pk, kind=Price.Kind.COST) if cost is None else cost
    _check_margin(price, costs, allow_loss=allow_loss)
    with transaction.atomic():
        before = prices.snapshot(endpoint_id=endpoint.pk)
        changed = prices.set_prices(endpoint=endpoint, prices=price)
        if cost is not None:
            changed |= prices.set_prices(endpoint=endpoint, prices=cost, kind=Price.Kind.COST)
        if before != dict(price):
            note(endpoint, Notice.Kind.PRICE, f"{endpoint.model}: {price_text(before, price)}")
    return changed


@transaction.atomic
def claim(endpoint: Endpoint, said: Mapping[str, Any]) -> bool:
    """What the endpoint is now said to do; whether that is news.

    Less than before holds at once. More holds when the next probe has shown it; an endpoint that takes requests
    goes on as it is until then.
    """
    wanted = {name: value for name, value in said.items() if name in CLAIMED}
    if wanted == {name: getattr(endpoint, name) for name in wanted}:
        if endpoint.claim:
            Endpoint.objects.filter(pk=endpoint.pk).update(claim={})
        return False
    if not endpoint.is_active or not _is_more(endpoint, wanted):
        for name, value in wanted.items():
            setattr(endpoint, name, value)
        endpoint.claim = {}
        if not endpoint.is_active and endpoint.hidden in {Endpoint.Hidden.PROBE, Endpoint.Hidden.FAILED}:
            endpoint.hidden, endpoint.probe_due_at = Endpoint.Hidden.PROBE, timezone.now()
        endpoint.save()
        return True
    if endpoint.claim == wanted:
        return False
    endpoint.claim, endpoint.probe_due_at = wanted, timezone.now()
    endpoint.save(update_fields=["claim", "probe_due_at"])
    return True


def _is_more(endpoint: Endpoint, wanted: Mapping[str, Any]) -> bool:
    return any(
        set(wanted.get(name, ())) - set(getattr(endpoint, name))
        for name in ("parameters", "input_modalities", "output_modalities")
    )


def ask_for_probe(endpoint: Endpoint) -> None:
    """Have it probed now; one that waits for a probe or failed it is shown when it passes.

    What the provider's list has withdrawn is probed too, and stays hidden until it is listed again.
    """
    fields: dict[str, Any] = {"probe_due_at": timezone.now()}
    if not endpoint.is_active and endpoint.hidden in {"", Endpoint.Hidden.FAILED}:
        fields["hidden"] = Endpoint.Hidden.PROBE
    Endpoint.objects.filter(pk=endpoint.pk).update(**fields)


def disable(endpoint: Endpoint) -> None:
    """Take no requests until it is enabled again."""
    Endpoint.objects.filter(pk=endpoint.pk).update(is_active=False, hidden=Endpoint.Hidden.DISABLED, probe_due_at=None)


def enable(endpoint: Endpoint) -> None:
    """Take requests again, after a probe. Raises Forbidden, and Conflict for what the provider's list withdrew."""
    require_operator(endpoint.provider.account)
    if endpoint.is_active:
        return
    if _is_withdrawn(endpoint):
        raise Conflict(
            f"{endpoint.model} is not in the provider's listing as ready: list it again, or offer it by hand, "
            "and it is probed and shown."
        )
    Endpoint.objects.filter(pk=endpoint.pk).update(hidden=Endpoint.Hidden.PROBE, probe_due_at=timezone.now())


def _is_withdrawn(endpoint: Endpoint) -> bool:
    if not (endpoint.from_listing and endpoint.provider.listing_url):
        return False
    gone = {Endpoint.Hidden.VANISHED, Endpoint.Hidden.NOT_READY}
    return endpoint.hidden in gone or endpoint.misses >= MISSES_UNTIL_VANISHED


@transaction.atomic
def judge(endpoint_id: int, *, results: Sequence[Mapping[str, Any]], at: dt.datetime) -> bool:
    """Store what a probe found and show or hide the endpoint by it; whether it passed.

    One that takes requests already goes on doing so when it fails a probe of new claims: the claims are dropped.
    """
    endpoint = Endpoint.objects.select_related("model__publisher", "provider").get(pk=endpoint_id)
    passed = all(one["passed"] for one in results)
    endpoint.probe = {"at": at.isoformat(), "passed": passed, "results": list(results)}
    endpoint.probe_due_at = None
    if passed:
        for name, value in endpoint.claim.items():
            setattr(endpoint, name, value)
        if endpoint.hidden in {Endpoint.Hidden.PROBE, Endpoint.Hidden.FAILED}:
            endpoint.is_active, endpoint.hidden = True, ""
            _show(endpoint)
    else:
        failed = ", ".join(str(one["name"]) for one in results if not one["passed"])
        if not endpoint.is_active and endpoint.hidden == Endpoint.Hidden.PROBE:
            endpoint.hidden = Endpoint.Hidden.FAILED
        note(endpoint, Notice.Kind.PROBE, f"{endpoint.model}: the probe failed at {failed}.")
    endpoint.claim = {}
    endpoint.save()
    return passed


def _show(endpoint: Endpoint) -> None:
    model = endpoint.model
    model.input_modalities = [*dict.fromkeys([*model.input_modalities, *endpoint.input_modalities])]
    model.output_modalities = [*dict.fromkeys([*model.output_modalities, *endpoint.output_modalities])]
    model.context_length = max(model.context_length or 0, endpoint.context_length)
    model.max_output = max(model.max_output or 0, endpoint.max_output or 0) or None
    if model.publisher.account_id is None:  # a claimed publisher decides alone what others see
        model.visibility = Model.Visibility.PUBLIC
    model.save()
    note(endpoint, Notice.Kind.PROBE, f"{model}: the probe passed; it takes requests now.")


def model_for(full_slug: str, *, provider: Provider, name: str, **facts: Any) -> Model:
    """The model of this name, made where there is none: seen by nobody until an endpoint of it passes its probe.

    Raises Unprocessable for a name that belongs to another account.
    """
    author, _, slug = full_slug.partition("/")
    publisher = Publisher.objects.filter(slug=author).first()
    owner = (
        publisher.account_id if publisher else Account.objects.filter(slug=author).values_list("pk", flat=True).first()
    )
    if author in RESERVED or owner not in {None, provider.account_id}:
        raise Unprocessable(f"{full_slug}: the name {author} is another's: choose a model of another author.")
    if publisher is None:
        publisher = Publisher.objects.create(slug=author, name=author)
    model, _ = Model.objects.get_or_create(
        publisher=publisher,
        slug=slug,
        defaults={"name": name or slug, "visibility": Model.Visibility.PRIVATE, **facts},
    )
    return model


def note(endpoint: Endpoint, kind: str, text: str) -> None:
    """Tell the operator."""
    Notice.objects.create(provider=endpoint.provider, endpoint=endpoint, kind=kind, text=text[:500])


def price_text(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """What changed, unit by unit, in dollars as the catalogue file writes them."""
    units = [*after, *(unit for unit in before if unit not in after)]
    return "; ".join(
        f"{unit} {_dollars(unit, before)} → {_dollars(unit, after)}"
        for unit in units
        if before.get(unit) != after.get(unit)
    )


def _dollars(unit: str, table: Mapping[str, int]) -> str:
    return f"${write_price(unit, table[unit])}" if unit in table else "none"


def _check_margin(price: Mapping[str, int], cost: Mapping[str, int], *, allow_loss: bool) -> None:
    losing = margins.losing_units(prices=price, costs=cost, share_bps=settings.PROVIDER_SHARE_BPS)
    if losing and not allow_loss:
        raise Unprocessable(
            f"cost: what {', '.join(losing)} costs is more than the provider's share of its price: raise the price, "
            "or say allow_loss."
        )
