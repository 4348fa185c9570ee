"""`manage.py shell` that stays open: Python on a system's data, without a start of Django for every question."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent.parent

# Takes questions from stdin and writes answers to stdout, a line of JSON each; ends with stdin, so with the test run.
# What the code prints goes to stderr, the system's own connections are closed after every question: the database may
# be restarted or looked at for locks in between.
_SERVE = """
import json, os, sys, traceback
answers, sys.stdout = sys.stdout, sys.stderr
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
import django
django.setup()
from django.db import connections
for line in sys.stdin:
    told = {"result": None}
    try:
        exec(json.loads(line), told)
        answer = json.dumps({"result": told["result"]})
    except BaseException:
        answer = json.dumps({"error": traceback.format_exc()})
    finally:
        connections.close_all()
    print(answer, file=answers, flush=True)
"""


class Shell:
    """One process, started with the first question."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment)
        self._log = log
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, code: str) -> Any:
        """Run Python that sets `result`, which comes back by JSON; RuntimeError with its traceback if it failed."""
        with self._turn:
            process = self._process or self._start()
            print(json.dumps(code), file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(f"The shell ended with {process.wait()}:\n{self._log.read_text(errors='replace')}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{code}\n{answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()  # closes its stdin, at whose end it ends

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE],
                cwd=_ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._process
