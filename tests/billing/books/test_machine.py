"""Twenty thousand steps against the model on PostgreSQL; a million in `make soak-books`.

A step is one to thirty statements through the services and a look at all numbers; all take about a minute on two cores.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.billing.books.machine import Machine

STEPS = int(os.environ.get("SOAK_STEPS", "20000"))
# Processes share the shards (tests/spread.py). A shard is one transaction, whose dead rows stay: so it is short.
STEPS_OF_A_SHARD = 5_000
SHARDS = STEPS // STEPS_OF_A_SHARD
STEPS_OF_A_RUN = 150

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(0 if STEPS > 20_000 else 600)]


@pytest.mark.django_db
@pytest.mark.parametrize("shard", range(SHARDS))
def test_whatever_happens_the_books_are_the_models(shard: int) -> None:
    Machine.steps = 0
    once = settings(
        max_examples=5,
        stateful_step_count=STEPS_OF_A_RUN,
        deadline=None,
        database=None,
        print_blob=True,
        # Shrinking hundreds of steps on a database takes longer than reading them.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    while Machine.steps < STEPS_OF_A_SHARD:
        run_state_machine_as_test(Machine, settings=once)
    assert Machine.steps >= STEPS_OF_A_SHARD
