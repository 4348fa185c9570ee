"""Replicate's published description is not ours to copy: its tests exist where it lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

from tests.execution.api.conftest import _pool_lets_go_of_the_database, caller, stranger

PLACES = [above / "shared" / "contracts" / "replicate-openapi.json" for above in Path(__file__).resolve().parents]
DOCUMENT = next((place for place in PLACES if place.is_file()), None)

__all__ = ("_pool_lets_go_of_the_database", "caller", "stranger")

collect_ignore = [] if DOCUMENT else ["test_replicate.py"]


def pytest_report_header() -> str:
    """What is not tested here, and why."""
    return "" if DOCUMENT else "shared/contracts/replicate-openapi.json is not here: answers are not held against it"
