"""The broker without a server: what is sent arrives whole and once, while several send and one takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from queue import Empty

import pytest
from django.conf import settings
from kombu import Connection
from kombu.simple import SimpleQueue

from marketplace.celery import app
from marketplace.lib.spool import Transport

EACH = 400
SENDERS = 3
SENDER = """
import sys
from tests.marketplace.lib.test_spool import opened
from pathlib import Path

with opened(Path(sys.argv[1])) as connection, connection.SimpleQueue("work") as queue:
    for number in range(int(sys.argv[3])):
        queue.put([sys.argv[2], number])
"""


def opened(folder: Path) -> Connection:
    """A connection; what is bound is known to the whole process, so each test has a queue of another name."""
    for name in ("queue", "control"):
        (folder / name).mkdir(exist_ok=True, parents=True)
    options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.001,
    }
    return Connection(transport=Transport, transport_options=options)


def taken(queue: SimpleQueue, seconds: float) -> list[object]:
    found = []
    try:
        while True:
            message = queue.get(timeout=seconds)
            message.ack()
            found.append(message.payload)
    except Empty:
        return found


def test_what_several_send_while_it_is_taken_arrives_whole_and_once(tmp_path: Path) -> None:
    senders = [
        subprocess.Popen([sys.executable, "-c", SENDER, str(tmp_path), str(one), str(EACH)]) for one in range(SENDERS)
    ]
    with opened(tmp_path) as connection, connection.SimpleQueue("work") as queue:
        found: list[object] = []
        while any(sender.poll() is None for sender in senders):
            found += taken(queue, 0.2)
        found += taken(queue, 0.2)
    assert [sender.returncode for sender in senders] == [0] * SENDERS
    assert sorted(map(str, found)) == sorted(str([str(one), n]) for one in range(SENDERS) for n in range(EACH))
    assert list((tmp_path / "queue").iterdir()) == []


def test_what_is_not_whole_belongs_to_no_queue(tmp_path: Path) -> None:
    with opened(tmp_path) as connection, connection.SimpleQueue("half") as queue:
        (tmp_path / "queue" / "1_a.part").write_text("")
        (tmp_path / "queue" / "1_a.other.msg").write_text("")
        with pytest.raises(Empty):
            queue.get(timeout=0.05)


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    with opened(tmp_path) as connection, connection.SimpleQueue("aged") as queue:
        for number in range(5):
            queue.put(number)
        assert [queue.get(timeout=30).payload for _ in range(5)] == [0, 1, 2, 3, 4]


def test_celery_uses_it_where_there_is_no_redis() -> None:
    with app.connection_for_write() as connection:
        assert isinstance(connection.transport, Transport) is (not settings.REDIS_URL)
