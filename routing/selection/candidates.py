"""What the choice is made between, and what a request needs of it. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from billing.rating import PER_MILLION, Rated, rate
from marketplace.lib import tariffs
from routing.adapters.intake import Medium
from routing.canonical import Usage

# Units that are a part of another one, priced there unless they have a price of their own.
CACHED, WRITTEN, REASONING = "cached_read", "cached_write", "reasoning"
# A millisecond of the hardware that the chat runs on, where that is what is charged.
INSTANCE_MS: Final = "hardware_ms"
NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})
NOWHERE: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One endpoint as the choice sees it; prices and costs are nano-USD per million units."""

    endpoint_id: int
    model: str
    provider: str
    provider_name: str
    context_length: int
    max_output: int | None
    inputs: frozenset[str]
    outputs: frozenset[str]
    parameters: frozenset[str]
    quantization: str
    prices: Mapping[str, int]
    costs: Mapping[str, int] = field(default_factory=dict)
    collects_data: bool = True
    keeps_nothing: bool = False
    dialect: str = ""  # decides in which forms it can be sent media
    most_ms: int = 0  # where time is charged: so long may a request run there
    # Whether prices depend on the prompt's length or the time of day: asked of every candidate of every request.
    is_conditional: bool = field(init=False)
    # Whether it is charged by the time that a request runs.
    is_by_time: bool = field(init=False)
    # Prices of input and output, as floats, where it is charged by nothing else and always alike.
    plain: tuple[float, float] | None = field(init=False)

    def __post_init__(self) -> None:
        is_conditional, is_by_time = tariffs.is_conditional(self.prices), INSTANCE_MS in self.prices
        object.__setattr__(self, "is_conditional", is_conditional)
        object.__setattr__(self, "is_by_time", is_by_time)
        is_plain = not is_conditional and not is_by_time and "request" not in self.prices
        plain = (float(self.prices.get("prompt", 0)), float(self.prices.get("completion", 0))) if is_plain else None
        object.__setattr__(self, "plain", plain)

    def applicable(self, *, prompt_tokens: int, minute: int) -> Mapping[str, int]:
        """Unit -> price, as it holds for a request of so many prompt tokens at a minute of the UTC day."""
        if not self.is_conditional:
            return self.prices
        return tariffs.applicable(self.prices, prompt_tokens=prompt_tokens, minute=minute)

    def rated(self, usage: Usage, *, units: Mapping[str, int] = NO_UNITS, minute: int = 0) -> Rated:
        """What a usage costs the caller here; `units` counts what is no token, `minute` is of the UTC day."""
        return rated(self.prices, usage, units=units, minute=minute)

    def bound(self, *, input_tokens: int, max_tokens: int, units: Mapping[str, int] = NO_UNITS) -> int:
        """The most that a request can cost here, in nano-USD: each token at the dearest price it may get.

        Where time is charged: for as long as it may run.
        """
        prices = self.dearest(input_tokens)
        prompt = max(prices.get(unit, 0) for unit in ("prompt", CACHED, WRITTEN))
        completion = max(prices.get(unit, 0) for unit in ("completion", REASONING))
        dearest = {**prices, "prompt": prompt, "completion": completion}
        counts = {
            "prompt": min(input_tokens, self.context_length),
            "completion": max_tokens,
            "request": 1,
            INSTANCE_MS: self.most_ms,
            **units,
        }
        return rate(dearest, counts).amount_nano

    def tokens_for(self, amount_nano: int, *, input_tokens: int, units: Mapping[str, int] = NO_UNITS) -> int:
        """How many tokens of answer an amount pays for here, beside the input."""
        left = amount_nano - self.bound(input_tokens=input_tokens, max_tokens=0, units=units)
        prices = self.dearest(input_tokens)
        price = max(prices.get(unit, 0) for unit in ("completion", REASONING))
        if left < 0:
            return 0
        # One nano-dollar aside: input and output are rounded together, not one by one.
        return max(0, left - 1) * 1_000_000 // price if price else 2**31

    def most_output(self) -> int:
        """Tokens of answer that the endpoint can give at all."""
        return self.max_output or self.context_length

    def dearest(self, input_tokens: int) -> Mapping[str, int]:
        """Unit -> the most that it can cost a request of at most so many prompt tokens."""
        return tariffs.dearest(self.prices, prompt_tokens=input_tokens) if self.is_conditional else self.prices


@dataclass(frozen=True, slots=True)
class Need:
    """What a request needs: tokens in at most and by estimate, what kinds of content, which parameters.

    `units` counts what else it can cost at most: images sent, images made, characters, seconds of sound …
    """

    input_bound: int
    input_estimate: int
    max_tokens: int | None
    units: Mapping[str, int] = field(default_factory=lambda: NO_UNITS)
    inputs: frozenset[str] = frozenset({"text"})
    outputs: frozenset[str] = frozenset({"text"})
    parameters: frozenset[str] = frozenset()
    media: frozenset[Medium] = frozenset()

    @property
    def images(self) -> int:
        """How many images are sent along."""
        return self.units.get("image", 0)


def rated(prices: Mapping[str, int], usage: Usage, *, units: Mapping[str, int] = NO_UNITS, minute: int = 0) -> Rated:
    """What a usage costs by a table of prices, with those of its conditions that hold at that minute of the UTC day."""
    applied = tariffs.applicable(prices, prompt_tokens=usage.prompt_tokens, minute=minute)
    return rate(applied, quantities(usage, applied, units=units))


def cache_discount(prices: Mapping[str, int], usage: Usage, *, minute: int = 0) -> int | None:
    """What the provider's prompt cache made a usage cheaper by, in nano-USD, negative where writing cost more.

    None where nothing was read from it or written to it. Parts without a price of their own cost what prompt costs.
    """
    if not usage.cached_tokens and not usage.cache_write_tokens:
        return None
    applied = tariffs.applicable(prices, prompt_tokens=usage.prompt_tokens, minute=minute)
    plain = applied.get("prompt", 0)
    read, written = plain - applied.get(CACHED, plain), plain - applied.get(WRITTEN, plain)
    exact = usage.cached_tokens * read + usage.cache_write_tokens * written
    return (exact + PER_MILLION // 2) // PER_MILLION


def quantities(usage: Usage, prices: Mapping[str, int], *, units: Mapping[str, int] = NO_UNITS) -> dict[str, int]:
    """A usage in priced units: parts that have a price of their own are taken out of the whole."""
    counts = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
    parts = (
        (CACHED, usage.cached_tokens, "prompt"),
        (WRITTEN, usage.cache_write_tokens, "prompt"),
        (REASONING, usage.reasoning_tokens, "completion"),
    )
    for unit, count, whole in parts:
        if unit in prices:
            counts[unit] = count
            counts[whole] -= count
    if "request" in prices:
        counts["request"] = 1
    counts |= {unit: count for unit, count in units.items() if unit in prices}
    return counts
