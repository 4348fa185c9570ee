"""The `provider` object of a request: who may serve it, in what order, at most at what price."""

from collections.abc import Mapping
from typing import Final

from marketplace.lib import money
from routing.canonical import Json, ProviderPreferences
from routing.ingress import fields

MAX_NAMES: Final = 100
SORTS: Final = frozenset({"price", "throughput", "latency", "exacto"})
PARTITIONS: Final = frozenset({"model", "none"})
PERCENTILES: Final[Mapping[str, int]] = {"p50": 50, "p75": 75, "p90": 90, "p99": 99}
PER_MILLION: Final = frozenset({"prompt", "completion"})
PER_UNIT: Final = frozenset({"request", "image", "audio"})
PRECISIONS: Final = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"}
)
FIELDS: Final = frozenset(
    {
        "order", "only", "ignore", "allow_fallbacks", "require_parameters", "data_collection", "zdr",
        "enforce_distillable_text", "quantizations", "sort", "preferred_min_throughput", "preferred_max_latency",
        "max_price", "hedge",
    }
)  # fmt: skip
# What the reference's clients may send beside them and that restricts nothing here.
PASSED_OVER: Final = frozenset({"options", "experimental"})


def read_preferences(value: Json) -> ProviderPreferences:
    """The preferences in the request's `provider` field. Raises InvalidRequest.

    An unknown key is refused, as the reference's schema has it: a misspelt limit that is left alone limits nothing.
    """
    if value is None:
        return ProviderPreferences()
    if not isinstance(value, dict):
        raise fields.wrong("provider", "must be an object")
    _require_known(value, FIELDS | PASSED_OVER, among=FIELDS, where="provider")
    fallbacks = fields.flag(value, "allow_fallbacks", where="provider.allow_fallbacks")
    collection = fields.text(value, "data_collection", where="provider.data_collection") or "allow"
    if collection not in {"allow", "deny"}:
        raise fields.wrong("provider.data_collection", 'must be "allow" or "deny"')
    return ProviderPreferences(
        order=fields.texts(value, "order", most=MAX_NAMES, where="provider.order"),
        only=fields.texts(value, "only", most=MAX_NAMES, where="provider.only"),
        ignore=fields.texts(value, "ignore", most=MAX_NAMES, where="provider.ignore"),
        allow_fallbacks=True if fallbacks is None else fallbacks,
        require_parameters=fields.flag(value, "require_parameters", where="provider.require_parameters") or False,
        data_collection=collection,
        zdr=fields.flag(value, "zdr", where="provider.zdr") or False,
        distillable=fields.flag(value, "enforce_distillable_text", where="provider.enforce_distillable_text") or False,
        quantizations=_quantizations(value),
        sort=_sort(value.get("sort")),
        partition=_partition(value.get("sort")),
        least_throughput=_percentiles(value, "preferred_min_throughput"),
        most_latency=_percentiles(value, "preferred_max_latency"),
        max_price=_max_price(value.get("max_price")),
        hedge=fields.flag(value, "hedge", where="provider.hedge") or False,
    )


def _require_known(value: Mapping[str, Json], known: frozenset[str], *, among: frozenset[str], where: str) -> None:
    for name in value:
        if name not in known:
            raise fields.wrong(f"{where}.{name[:80]}", f"is not known; there are {', '.join(sorted(among))}")


def _quantizations(value: Mapping[str, Json]) -> tuple[str, ...]:
    found = fields.texts(value, "quantizations", most=MAX_NAMES, where="provider.quantizations")
    if not PRECISIONS.issuperset(found):
        raise fields.wrong("provider.quantizations", f"may have {', '.join(sorted(PRECISIONS))}")
    return found


def _sort(value: Json) -> str | None:
    if isinstance(value, dict):
        value = value.get("by")
    if value is None or (isinstance(value, str) and value in SORTS):
        return value
    raise fields.wrong("provider.sort", f"must be one of {', '.join(sorted(SORTS))}")


def _partition(value: Json) -> str:
    wanted = value.get("partition") if isinstance(value, dict) else None
    if wanted is None or wanted in PARTITIONS:
        return wanted or "model"
    raise fields.wrong("provider.sort.partition", f"must be one of {', '.join(sorted(PARTITIONS))}")


def _percentiles(value: Mapping[str, Json], name: str) -> dict[int, float]:
    """A number is the median's bound; an object names a bound by percentile, and all of them must hold."""
    wanted = value.get(name)
    if wanted is None:
        return {}
    bounds = wanted if isinstance(wanted, dict) else {"p50": wanted}
    found: dict[int, float] = {}
    for percentile, bound in bounds.items():
        if bound is None:
            continue
        if percentile not in PERCENTILES:
            raise fields.wrong(f"provider.{name}", f"may have {', '.join(PERCENTILES)}")
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 <= bound < 1e9:
            raise fields.wrong(f"provider.{name}", "must be a number, or an object of numbers by percentile")
        found[PERCENTILES[percentile]] = float(bound)
    return found


def _max_price(value: Json) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise fields.wrong("provider.max_price", "must be an object")
    units = PER_MILLION | PER_UNIT
    _require_known(value, units, among=units, where="provider.max_price")
    limits: dict[str, int] = {}
    for unit, price in value.items():
        if price is None:
            continue
        if isinstance(price, bool) or not isinstance(price, str | int | float):
            raise fields.wrong(f"provider.max_price.{unit}", "must be a decimal number of dollars")
        read = money.price_per_million if unit in PER_MILLION else money.price_per_unit
        try:
            limits[unit] = read(str(price))
        except ValueError:
            raise fields.wrong(f"provider.max_price.{unit}", "must be a decimal number of dollars") from None
        if limits[unit] < 0:
            raise fields.wrong(f"provider.max_price.{unit}", "must not be negative")
    return limits
