"""A process with all that it started: ended to the last."""

from __future__ import annotations

import signal
import time

import psutil


def kill(*, pid: int, uid: int | None) -> None:
    """SIGKILL to the process, all below it, and (when it had a user of its own) to all of that user's."""
    victims: dict[int, psutil.Process] = {}
    for _ in range(5):  # a fork bomb makes new ones while we look
        found: list[psutil.Process] = []
        try:
            root = psutil.Process(pid)
            found = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            pass
        if uid is not None:
            found += [one for one in psutil.process_iter(["uids"]) if real_uid(one) == uid]
        fresh = [one for one in found if one.pid not in victims and _is_alive(one)]
        if not fresh:
            break
        for one in fresh:
            victims[one.pid] = one
            try:
                one.send_signal(signal.SIGKILL)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    deadline = time.monotonic() + 5.0
    while any(one.pid != pid and one.is_running() and _is_alive(one) for one in victims.values()):
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)


def real_uid(process: psutil.Process) -> int:
    """Whose the process is; -1 for one that is gone."""
    try:
        return int(process.uids().real)
    except psutil.Error:
        return -1


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
