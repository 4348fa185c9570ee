"""Prices that follow from what providers invoice."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from marketplace import names
from marketplace.catalogue import margins
from marketplace.catalogue.form import write_price
from marketplace.lib import tariffs
from marketplace.lib.errors import Conflict
from marketplace.models import Endpoint, Price
from marketplace.services import prices
from marketplace.services.catalog import Applied


@transaction.atomic
def from_cost(*, provider: str = "", dry_run: bool = False) -> Applied:
    """Set each unit that has a cost to the least price of which the provider's share covers it, rounded up;
    under the conditions that the cost has.

    Units without a cost keep their price. `provider` narrows to one slug. Raises Conflict when the provider's
    share is nothing, since no price covers a cost then.
    """
    share_bps = settings.PROVIDER_SHARE_BPS
    if share_bps == 0:
        raise Conflict("PROVIDER_SHARE_BPS is 0: the provider's share covers no cost at any price.")
    done = Applied()
    # What is hosted here is priced by its upload and its hardware.
    endpoints = Endpoint.objects.filter(is_active=True).exclude(provider__slug__startswith=names.HOSTED)
    endpoints = endpoints.select_related("model__publisher", "provider")
    if provider:
        endpoints = endpoints.filter(provider__slug=provider)
    found = list(endpoints)
    priced = prices.snapshots(endpoint_ids=[endpoint.pk for endpoint in found])
    for endpoint in found:
        table = priced.get(endpoint.pk, {})
        before, costs = table.get(Price.Kind.PRICE, {}), table.get(Price.Kind.COST, {})
        priced_by_cost = {tariffs.unit_of(key) for key in costs}
        kept = {key: nano for key, nano in before.items() if tariffs.unit_of(key) not in priced_by_cost}
        after = kept | margins.prices_for(costs, share_bps=share_bps)
        if prices.set_prices(endpoint=endpoint, prices=after):
            lines = [
                f"{unit}: ${write_price(unit, before.get(unit, 0))} → ${write_price(unit, nano)}"
                for unit, nano in after.items()
                if before.get(unit) != nano
            ]
            done.note("~", f"price of {endpoint.model} at {endpoint.provider}", *lines)
    if dry_run:
        transaction.set_rollback(True)
    return done
