"""The cast, the skips and the whole system for every test."""

from __future__ import annotations

import functools
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TransactionTestCase
from httpx._transports import default as httpx_transport
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from billing import triggers
from tests.reference import ABSENT
from tests.servers import binaries
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.system import System
from tests.spread import Spread, is_long, shared

IN_CI = os.environ.get("CI") == "true"

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis_settings.register_profile("turnpike", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("turnpike")

# httpx reads the list of authorities anew for each client, 25 ms of computing; tests make thousands of clients.
httpx_transport.create_ssl_context = functools.cache(httpx_transport.create_ssl_context)  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Spread:
    """Spread by what tests share, where the run has several processes."""
    return Spread(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, by name, what this machine cannot have; bring together what shares (pytest-randomly has mixed them)."""
    items.sort(key=_place)
    on_postgres = "postgresql" in settings.DATABASES["default"]["ENGINE"]
    absent = {
        "postgres": None if on_postgres else "PostgreSQL is not here: DATABASE_URL is unset; `make test` starts one",
        "redis": None if settings.REDIS_URL else "Redis is not here: REDIS_URL is unset; `make test` starts one",
        "docker": _why_no_docker(),
        "browser": None if binaries.chromium() else "Chromium is not installed",
    }
    for item in items:
        for name, reason in absent.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def _why_no_docker() -> str | None:
    if not (binaries.docker_engine() and binaries.debootstrap()):
        return "docker.io and debootstrap are not both installed"
    return None if os.geteuid() == 0 else "only root can run a Docker engine of its own"


def _place(item: pytest.Item) -> tuple[int, bool, str, bool]:
    """Where a test comes in the run: whole systems first in a process of their own, last where there is only one.

    Within them the browser and the Docker engine come last, whose parts may still be on their way. Of what is not
    shared the longest files come first.
    """
    order = ["systems", "hosting", ""] if "PYTEST_XDIST_WORKER" in os.environ else ["hosting", "", "systems"]
    is_late = any(item.get_closest_marker(name) for name in ("browser", "docker"))
    return order.index(shared(item.nodeid)), not is_long(item.nodeid), _system(item), is_late


def _system(item: pytest.Item) -> str:
    """Which whole system a test needs, so that those of one system follow each other; empty where it needs none."""
    if (parameters := getattr(item, "callspec", None)) and "live" in parameters.params:
        return str(parameters.params["live"])
    return next((name for name in ("embedded", "grown") if name in getattr(item, "fixturenames", ())), "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skip is a failure: there, everything is to be had but the reference, which is not ours to ship."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and ABSENT not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"Skipped with CI=true: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _clean_cache() -> None:
    """Counters in the cache (rate limits) start anew with each test."""
    cache.clear()


# -- the whole system, as a newcomer gets it; see tests/servers/system.py for what it offers


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`make run`: SQLite and a broker of files. Shared by all tests that ask; leave it whole."""
    with System(tmp_path_factory.mktemp("embedded")) as system:
        yield system


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The same on PostgreSQL and Redis of its own (`system.postgres`, `system.redis`). Shared; leave it whole."""
    if not (binaries.postgres_bin() and binaries.redis_server()):
        pytest.skip("PostgreSQL and Redis are not both installed")
    with Postgres() as postgres, Redis() as redis:
        folder = tmp_path_factory.mktemp("grown")
        with System(folder, database_url=postgres.url, redis_url=redis.url) as system:
            system.postgres, system.redis = postgres, redis
            yield system


@pytest.fixture(params=["embedded", "grown"])
def live(request: pytest.FixtureRequest) -> System:
    """The whole system, once in each arrangement."""
    system: System = request.getfixturevalue(request.param)
    return system


# -- after a test with transactions of its own, the database is empty again

# Made with the tables, and the same after every test.
_KEPT = {"django_migrations", "django_content_type", "auth_permission"}
_flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]


def _empty(self: TransactionTestCase) -> None:
    if connection.vendor == "postgresql":
        _delete_what_is_there()
        return
    triggers.remove(connection)  # SQLite empties tables with DELETE, which the books' own triggers refuse
    _flush(self)
    triggers.install(connection)


def _delete_what_is_there() -> None:
    """What Django's flush does in five times the time: that truncates all tables and makes all permissions anew."""
    names = sorted({*connection.introspection.django_table_names()} - _KEPT)
    tables = [connection.ops.quote_name(name) for name in names]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")  # waits for who still writes
        has_rows = [f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in tables]  # noqa: S608  our tables
        cursor.execute(" UNION ALL ".join(has_rows))
        full = [f"DELETE FROM {name}" for (name,) in cursor.fetchall()]  # noqa: S608  our own tables
        # Neither foreign keys nor the books' triggers are asked.
        cursor.execute("; ".join(["SET LOCAL session_replication_role = replica", *full]))


TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]
