"""Chaos takes minutes and a machine to itself: `make chaos` asks for it, the suite leaves it out."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("CHAOS") else ["test_*.py"]
