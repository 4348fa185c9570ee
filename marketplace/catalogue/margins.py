"""What a provider's costs and the prices that callers pay must be to each other (contracts, Money 1). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace.lib import tariffs

ALL_BPS = 10_000


def losing_units(*, prices: Mapping[str, int], costs: Mapping[str, int], share_bps: int) -> list[str]:
    """The units whose cost is more than the provider's share of their price: each would lose money when sold.

    Where prices have conditions, in any situation that they tell apart.
    """
    losing: dict[str, None] = {}
    for prompt_tokens, minute in tariffs.situations(prices, costs):
        paid = tariffs.applicable(prices, prompt_tokens=prompt_tokens, minute=minute)
        owed = tariffs.applicable(costs, prompt_tokens=prompt_tokens, minute=minute)
        losing |= {unit: None for unit, cost in owed.items() if cost * ALL_BPS > paid.get(unit, 0) * share_bps}
    return list(losing)


def prices_for(costs: Mapping[str, int], *, share_bps: int) -> dict[str, int]:
    """The least prices of which the provider's share covers the costs; all in nano-USD per million units."""
    return {unit: -(-cost * ALL_BPS // share_bps) for unit, cost in costs.items()}
