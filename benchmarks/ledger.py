"""How many requests' money the books can move: hold and settle, on SQLite and PostgreSQL.

Each figure is the median of three rounds on this machine; compare ratios, not absolutes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROUNDS = 3
PAIRS = 400
THREADS = 8


def main() -> int:
    """Measure both databases, each in a process of its own."""
    from tests.servers import binaries
    from tests.servers.postgres import Postgres

    print(f"{PAIRS} pairs of hold and settle a round, median of {ROUNDS} rounds, pairs a second\n")
    print(
        f"{'':12}{'one thread':>14}{f'{THREADS} threads, one wallet':>28}{f'{THREADS} threads, {THREADS} wallets':>28}"
    )
    show("SQLite", measured(""))
    if binaries.postgres_bin():
        with Postgres() as postgres:
            show("PostgreSQL", measured(postgres.url))
    else:
        print("PostgreSQL is not installed: left out.")
    return 0


def show(name: str, figures: dict[str, float]) -> None:
    """One line of the table."""
    print(f"{name:12}{figures['single']:>14.0f}{figures['hot']:>28.0f}{figures['spread']:>28.0f}", flush=True)


def measured(database_url: str) -> dict[str, float]:
    """The figures of one database, from a child that sees nothing else."""
    with tempfile.TemporaryDirectory(prefix="turnpike-bench-") as var:
        environment = os.environ | {"TURNPIKE_VAR": var, "DATABASE_URL": database_url}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        manage = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(manage, env=environment, check=True)
        child = [sys.executable, "-m", "benchmarks.ledger", "--child"]
        done = subprocess.run(child, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def child() -> int:
    """Measure the configured database; the last line is JSON."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    import django

    django.setup()
    from billing import invariants
    from billing.services import credits
    from marketplace.models import User
    from marketplace.services import accounts

    owners = []
    for n in range(THREADS):
        user = User.objects.create_user(f"bench{n}@example.com", "not-used-9")
        account = accounts.open_personal(user=user)
        credits.grant(account_id=account.pk, amount_nano=10**15, reference=f"bench:{n}")
        owners.append(account.pk)
    figures = {
        "single": rate(lambda n: owners[0], threads=1),
        "hot": rate(lambda n: owners[0], threads=THREADS),
        "spread": rate(lambda n: owners[n % THREADS], threads=THREADS),
    }
    violations = invariants.run()
    if violations:
        raise SystemExit(f"the books are wrong: {violations}")
    print(json.dumps(figures))
    return 0


def rate(owner_of: object, *, threads: int) -> float:
    """Pairs a second; `owner_of(n)` is the account that the n-th pair is charged to."""
    import datetime as dt

    from billing.rating import Part, rate
    from billing.services import holds
    from marketplace.lib import ids

    rated = rate({"prompt": 150_000_000, "completion": 600_000_000}, {"prompt": 800, "completion": 300})

    def pair(n: int) -> None:
        account_id = owner_of(n)  # type: ignore[operator]
        hold = holds.place(
            account_id=account_id,
            key_id=None,
            amount_nano=10**6,
            kind="chat",
            reference=str(ids.uuid7()),
            expires_in=dt.timedelta(hours=1),
        )
        holds.settle(hold_id=hold.pk, rated=rated, parts=[Part("provider_payable", account_id, bps=9_500)])

    rates = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(pair, range(threads)))  # connections are opened outside the measurement
        for _ in range(ROUNDS):
            started = time.perf_counter()
            list(pool.map(pair, range(PAIRS)))
            rates.append(PAIRS / (time.perf_counter() - started))
    return statistics.median(rates)


if __name__ == "__main__":
    raise SystemExit(child() if "--child" in sys.argv else main())
