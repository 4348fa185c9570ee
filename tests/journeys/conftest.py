"""What every journey has in common: at its end the books of the system that it used must balance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.system import System

CHECK = "from billing import invariants; result = [str(one) for one in invariants.run()]"
SYSTEMS = ("live", "embedded", "grown")


@pytest.fixture(autouse=True)
def _books_balance(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the checks of `manage.py check_invariants` on each system under test once the journey is over."""
    systems: list[System] = [request.getfixturevalue(name) for name in SYSTEMS if name in request.fixturenames]
    yield
    for system in {id(system): system for system in systems}.values():
        assert system.query(CHECK) == []
