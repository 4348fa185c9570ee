"""How the suite is spread over processes: what is dear to start is started in one of them only."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

# Folders whose tests share what one process owns, by its name. Whole systems run one at a time and beside nothing
# else that is dear: three of them are too much for two cores.
SHARED: Final = {
    "tests/journeys/": "systems",
    "tests/browser/": "systems",
    "tests/clients/": "systems",
    "tests/execution/": "hosting",  # builds, a host's agent, a Docker engine
}

# Files whose tests share nothing at all and are long: each goes to whichever process is free.
APART: Final = ("tests/billing/books/test_machine.py",)

# Of what is left, the files that take longest come first, so that neither process waits long for the other's last.
LONG: Final = (
    "tests/billing/books/",
    "tests/routing/api/test_fuzz.py",
    "tests/routing/test_hostile.py",
    "tests/routing/test_contract.py",
    "tests/routing/selection/test_benchmark_http.py",
)


def is_long(nodeid: str) -> bool:
    """Whether a test's file is one of the longest."""
    return nodeid.startswith(LONG)


def shared(nodeid: str) -> str:
    """What a test shares with others; empty where it shares nothing dear."""
    return next((name for folder, name in SHARED.items() if nodeid.startswith(folder)), "")


class Spread(LoadScopeScheduling):
    """By folder where something dear is shared, by file elsewhere, by test where nothing is shared."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file in APART else shared(nodeid) or file
