"""Each app's first migrations are one, for new databases; a database that has the old ones goes on from them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

# Each squashed migration with the old ones that it stands for.
SQUASHED = {key: sorted(one.replaces) for key, one in MigrationLoader(None).replacements.items()}


def _plan() -> list[tuple[str, str]]:
    """What `migrate` would run."""
    executor = MigrationExecutor(connection)
    return [(each.app_label, each.name) for each, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]


@pytest.fixture
def recorder(db: None) -> MigrationRecorder:
    """What the database remembers: here the old migrations, by their own names."""
    recorder = MigrationRecorder(connection)
    for squashed, old_ones in SQUASHED.items():
        recorder.record_unapplied(*squashed)
        for old in old_ones:
            recorder.record_applied(*old)
    return recorder


@pytest.mark.parametrize("squashed", SQUASHED, ids=str)
def test_a_squashed_migration_ends_in_the_tables_of_the_old_ones(squashed: tuple[str, str]) -> None:
    loader = MigrationLoader(None, replace_migrations=False)
    app = squashed[0]
    states = [loader.project_state(nodes=[at]).models for at in (squashed, SQUASHED[squashed][-1])]
    new, old = ({key: state for key, state in each.items() if key[0] == app} for each in states)
    assert new == old
    assert len(new) >= 7


def test_a_database_with_all_the_old_ones_has_nothing_left_to_do(recorder: MigrationRecorder) -> None:
    assert _plan() == []
    MigrationExecutor(connection).check_replacements()  # `migrate` ends with it
    assert set(SQUASHED) <= set(recorder.applied_migrations())


def test_a_database_with_some_of_the_old_ones_goes_on_from_there(recorder: MigrationRecorder) -> None:
    apps = {app for app, _ in SQUASHED}
    later = [key for key in MigrationLoader(None).graph.nodes if key[0] in apps and key not in SQUASHED]
    missing = [old_ones[-1] for old_ones in SQUASHED.values()] + later
    for each in missing:
        recorder.record_unapplied(*each)
    assert sorted(_plan()) == sorted(missing)
