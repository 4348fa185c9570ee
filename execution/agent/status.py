"""var/run/agent.sock: one connection, one line of JSON about this host's instances. Nothing can be asked or changed."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from marketplace.lib.sockets import Place

log = logging.getLogger(__name__)
NAME: Final = "agent.sock"
MAX_ANSWER: Final = 1024 * 1024


class StatusDoor:
    """Answers every connection with `answer()` as one line, then hangs up."""

    def __init__(self, *, var: Path, answer: Callable[[], dict[str, Any]]) -> None:
        folder = var / "run"
        folder.mkdir(parents=True, exist_ok=True)
        self._answer = answer
        self._place = Place(folder)
        self._listener = self._place.listen(NAME)
        self._thread = threading.Thread(target=self._serve, name="agent-status", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with near:
                near.settimeout(2.0)
                with contextlib.suppress(OSError):
                    near.sendall(json.dumps(self._answer()).encode() + b"\n")

    def close(self) -> None:
        """Stop answering and remove the socket."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(2.0)
        (self._place.folder / NAME).unlink(missing_ok=True)
        self._place.close()


def ask(*, var: Path, seconds: float = 2.0) -> dict[str, Any] | None:
    """What the agent of this host says, None when there is none."""
    if not (var / "run" / NAME).exists():
        return None
    place = Place(var / "run")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as near:
            near.settimeout(seconds)
            near.connect(place.address(NAME))
            answer = b""
            while (piece := near.recv(65536)) and len(answer) < MAX_ANSWER:
                answer += piece
        found = json.loads(answer)
        return found if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None
    finally:
        place.close()
