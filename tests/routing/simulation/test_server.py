"""Serving a simulated provider from a thread."""

import socket
import threading

import pytest

from routing.simulation.app import Simulator
from routing.simulation.server import running

QUESTION = b'{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("reads", [100_000, 5_000_000], ids="{} bytes".format)
def test_it_ends_although_a_client_stopped_reading(reads: int) -> None:
    """What fails in its thread, pytest tells of as an error of this test."""
    before = threading.active_count()
    simulator = Simulator(name="sim-test")
    simulator.script.order(["flood"])
    with running(simulator) as port:
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        client.sendall(HEAD % len(QUESTION) + QUESTION)
        while reads > 0:
            reads -= len(client.recv(65_536))
    with client:
        under_way = sum(len(part) for part in iter(lambda: client.recv(65_536), b""))
    assert under_way > 0
    assert threading.active_count() == before
