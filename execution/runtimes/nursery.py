"""Starts processes from one thread that lives as long as we do.

The kernel sends the "parent died" signal when the *thread* that forked ends. A process started from a passing
pool thread would be killed with it; one started here dies with the worker, and only then.
"""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

_lock = threading.Lock()
_orders: SimpleQueue[tuple[Future[subprocess.Popen[bytes]], list[str], dict[str, Any]]] | None = None
_pid = 0


def _work(orders: SimpleQueue[tuple[Future[subprocess.Popen[bytes]], list[str], dict[str, Any]]]) -> None:
    while True:
        future, argv, options = orders.get()
        try:
            future.set_result(subprocess.Popen(argv, **options))
        except BaseException as error:
            future.set_exception(error)


def spawn(argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """subprocess.Popen, called in the nursery's thread. Raises what Popen raises."""
    global _orders, _pid
    with _lock:
        if _orders is None or _pid != os.getpid():  # after a fork the thread is not there any more
            _orders, _pid = SimpleQueue(), os.getpid()
            threading.Thread(target=_work, args=(_orders,), name="nursery", daemon=True).start()
        orders = _orders
    future: Future[subprocess.Popen[bytes]] = Future()
    orders.put((future, argv, options))
    return future.result()
