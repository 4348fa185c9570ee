"""Builds with torch, which take gigabytes: `make example-torch` collects them, and nothing else does."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("EXAMPLE_TORCH") else ["test_*.py"]
