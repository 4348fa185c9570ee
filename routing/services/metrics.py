"""What Prometheus is told: what this process counted, how its endpoints stand, and what the database holds.

With PROMETHEUS_MULTIPROC_DIR set (an empty folder for all web processes behind one port) whichever process is asked
answers for all of them. The names are stable; labels are endpoints, models and words of ours, never a caller's.
"""

import asyncio
import os
from collections.abc import Iterator
from typing import Final

from django.db.models import Count, Sum
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from billing.models import Hold
from execution.models import Build, Prediction
from execution.states import LIVE, BuildStatus
from routing.models import Generation
from routing.services.health import HEALTH
from routing.services.routes import Route

NANO: Final = 1_000_000_000
SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0, 60.0)
SPEEDS: Final = (5, 10, 20, 40, 60, 80, 120, 200, 400, 1_000)
AT: Final = ("endpoint", "provider", "model")

COUNTED: Final = CollectorRegistry()
REQUESTS: Final = Counter(
    "turnpike_requests", "Requests that ended, by how.", ("operation", "status"), registry=COUNTED
)  # fmt: skip
ATTEMPTS: Final = Counter(
    "turnpike_attempts", "Calls to endpoints by outcome: ok, or the kind of failure.", (*AT, "outcome"),
    registry=COUNTED,
)  # fmt: skip
FIRST_TOKEN: Final = Histogram(
    "turnpike_first_token_seconds", "Time to the first piece of a streamed answer.", AT, buckets=SECONDS,
    registry=COUNTED,
)  # fmt: skip
THROUGHPUT: Final = Histogram(
    "turnpike_tokens_per_second", "Tokens of answer a second, from the call to its end.", AT, buckets=SPEEDS,
    registry=COUNTED,
)  # fmt: skip
PROBES: Final = Counter(
    "turnpike_idle_probes", "Probes of idle endpoints by outcome: ok, failed, refused by us.", ("outcome",),
    registry=COUNTED,
)  # fmt: skip
BREAKER: Final = Gauge(
    "turnpike_endpoint_breaker_open", "1 while a breaker puts the endpoint behind others.", ("endpoint",),
    registry=COUNTED, multiprocess_mode="livemax",
)  # fmt: skip
IN_FLIGHT: Final = Gauge(
    "turnpike_endpoint_in_flight", "Calls under way at the endpoint.", ("endpoint",),
    registry=COUNTED, multiprocess_mode="livesum",
)  # fmt: skip
RATE_CAP: Final = Gauge(
    "turnpike_endpoint_rate_cap", "Requests a second that the endpoint takes before 429, where that was met.",
    ("endpoint",), registry=COUNTED, multiprocess_mode="livesum",
)  # fmt: skip
SAMPLE_SECONDS: Final = 1.0


def attempted(route: Route, *, outcome: str, first_token_s: float | None = None) -> None:
    """An endpoint was called; `first_token_s` where the answer streams."""
    labels = _labels(route)
    ATTEMPTS.labels(*labels, outcome).inc()
    if first_token_s is not None:
        FIRST_TOKEN.labels(*labels).observe(first_token_s)


def answered(route: Route, *, tokens: int, seconds: float) -> None:
    """An answer is whole."""
    if tokens and seconds > 0:
        THROUGHPUT.labels(*_labels(route)).observe(tokens / seconds)


def ended(*, operation: str, status: str) -> None:
    """A request ended."""
    REQUESTS.labels(operation, status).inc()


def probed(outcome: str) -> None:
    """An idle endpoint was probed, or its probe refused: for want of credit, say."""
    PROBES.labels(outcome).inc()


def expose() -> bytes:
    """All of it in Prometheus's text format. Asks the database."""
    sample()
    counted = COUNTED
    if _is_shared():
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    held = CollectorRegistry()
    held.register(_Held())
    return generate_latest(counted) + generate_latest(held)


def sample() -> None:
    """Note how this process's endpoints stand; those of accounts' own keys are nobody else's to know."""
    for endpoint_id, (is_open, in_flight, rate) in HEALTH.standing_of_all().items():
        if endpoint_id > 0:
            BREAKER.labels(endpoint_id).set(is_open)
            IN_FLIGHT.labels(endpoint_id).set(in_flight)
            if rate is not None:
                RATE_CAP.labels(endpoint_id).set(rate)


async def run() -> None:
    """For as long as the web process lives, where several answer for each other: keep what they read fresh."""
    if not _is_shared():
        return
    try:
        while True:
            sample()
            await asyncio.sleep(SAMPLE_SECONDS)
    finally:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


class _Held(Collector):
    """What is the same for all processes: read when asked for."""

    def collect(self) -> Iterator[Metric]:
        """Holds and the lengths of queues."""
        holds = Hold.objects.filter(state=Hold.State.OPEN).aggregate(count=Count("pk"), nano=Sum("amount_nano"))
        yield GaugeMetricFamily("turnpike_holds_open", "Holds that have not ended.", value=holds["count"])
        yield GaugeMetricFamily(
            "turnpike_holds_open_usd", "Dollars in open holds.", value=(holds["nano"] or 0) / NANO
        )  # fmt: skip
        live = Generation.objects.filter(status__in=Generation.OPEN)
        yield _by("turnpike_generations_open", "Generations that have not ended.", ("status",), live)
        runs = Prediction.objects.filter(status__in=[str(one) for one in LIVE])
        for kind in Prediction.Kind.values:
            told = f"{kind.capitalize()}s that wait (starting) or run (processing)."
            yield _by(f"turnpike_{kind}s_open", told, ("hardware__sku", "status"), runs.filter(kind=kind))
        builds = Build.objects.filter(status__in=[str(BuildStatus.QUEUED), str(BuildStatus.BUILDING)])
        yield _by("turnpike_builds_open", "Builds that wait or run.", ("status",), builds)


def _by(name: str, told: str, fields: tuple[str, ...], rows: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=[field.split("__")[0] for field in fields])
    for row in rows.order_by().values(*fields).annotate(count=Count("pk")):  # type: ignore[attr-defined]
        family.add_metric([str(row[field]) for field in fields], row["count"])
    return family


def _labels(route: Route) -> tuple[str, str, str]:
    return str(route.endpoint_id), route.candidate.provider, route.candidate.model


def _is_shared() -> bool:
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
