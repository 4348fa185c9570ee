import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from marketplace.lib import http
from marketplace.lib.addresses import Refused

pytestmark = pytest.mark.enable_socket

Script = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def serving(script: Script) -> Iterator[int]:
    """A real TCP server that reads one request head per connection and then does what the script says."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    part = connection.recv(65536)
                    if not part:
                        break
                    head += part
                script(connection, head)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> Script:
    def script(connection: socket.socket, head: bytes) -> None:
        connection.sendall(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n".encode() + body
        )

    return script


def fetch(
    url: str, *, origins: set[str], max_bytes: int = 1000, seconds: float = 5, **more: object
) -> tuple[http.Fetched, bytes]:
    taken: list[bytes] = []
    result = http.fetch(url, write=taken.append, max_bytes=max_bytes, seconds=seconds, private_origins=origins, **more)  # type: ignore[arg-type]
    return result, b"".join(taken)


def test_a_listed_private_origin_is_fetched() -> None:
    with serving(answer(b"hello", headers="Content-Type: Image/PNG; charset=x\r\n")) as port:
        got, body = fetch(f"http://127.0.0.1:{port}/a/cat%20one.png?sig=1", origins={f"127.0.0.1:{port}"})
    assert body == b"hello"
    assert got == http.Fetched(size=5, content_type="image/png", name="cat one.png")


def test_an_unlisted_private_origin_is_never_connected_to() -> None:
    reached = threading.Event()
    with serving(lambda connection, head: reached.set()) as port, pytest.raises(Refused):
        fetch(f"http://127.0.0.1:{port}/", origins=set())
    assert not reached.is_set()


def test_a_redirect_to_a_private_address_is_refused() -> None:
    inner_reached = threading.Event()
    with serving(lambda connection, head: inner_reached.set()) as inner:
        script = answer(b"", status="302 Found", headers=f"Location: http://127.0.0.1:{inner}/secret\r\n")
        with serving(script) as port, pytest.raises(Refused):
            fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})
    assert not inner_reached.is_set()


def test_a_redirect_to_metadata_is_refused() -> None:
    script = answer(b"", status="302 Found", headers="Location: http://169.254.169.254/latest/meta-data\r\n")
    with serving(script) as port, pytest.raises(Refused, match="metadata"):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})


def test_a_redirect_to_another_scheme_is_refused() -> None:
    script = answer(b"", status="302 Found", headers="Location: file:///etc/passwd\r\n")
    with serving(script) as port, pytest.raises(http.FetchFailed, match="only http"):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})


def test_redirects_end() -> None:
    with (
        serving(answer(b"", status="302 Found", headers="Location: /again\r\n")) as port,
        pytest.raises(http.FetchFailed, match="5 times"),
    ):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})


def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    """DNS rebinding: what was checked is what is connected to, and the name is asked once per connection."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) > 1 else ["127.0.0.1"]

    with serving(answer(b"ok")) as port:
        got, _ = fetch(f"http://rebind.test:{port}/", origins={f"rebind.test:{port}"}, resolve=rebinding)
    assert got.size == 2
    assert asked == ["rebind.test"]


def test_the_host_header_keeps_the_name() -> None:
    heads: list[bytes] = []

    def script(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        answer(b"ok")(connection, head)

    with serving(script) as port:
        fetch(f"http://named.test:{port}/", origins={f"named.test:{port}"}, resolve=lambda host, port: ["127.0.0.1"])
        assert f"host: named.test:{port}".encode() in heads[0].lower()


def test_a_declared_size_above_the_cap_is_refused_before_reading() -> None:
    with serving(answer(b"x" * 1001)) as port, pytest.raises(http.TooLarge, match="1,000 bytes"):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})


def test_a_size_that_was_not_declared_is_capped_while_reading() -> None:
    def flood(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with serving(flood) as port, pytest.raises(http.TooLarge):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})


@pytest.mark.parametrize("opening", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "])
def test_a_server_that_drips_bytes_is_left_at_the_deadline(opening: bytes) -> None:
    def drip(connection: socket.socket, head: bytes) -> None:
        connection.sendall(opening)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    started = time.monotonic()
    with serving(drip) as port, pytest.raises(http.FetchFailed, match=r"within 0\.5 seconds"):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"}, seconds=0.5)
    assert time.monotonic() - started < 15  # it would drip for good


def test_a_compressed_answer_is_refused() -> None:
    with (
        serving(answer(b"x", headers="Content-Encoding: gzip\r\n")) as port,
        pytest.raises(http.FetchFailed, match="compressed"),
    ):
        fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})


def test_an_error_status_is_told_without_the_query() -> None:
    with serving(answer(b"secret body", status="404 Not Found")) as port, pytest.raises(http.FetchFailed) as caught:
        fetch(f"http://127.0.0.1:{port}/a?token=hush", origins={f"127.0.0.1:{port}"})
    assert "404" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "secret body" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.test/", "gopher://a.test/", "", "//a.test/", "http://", "http://[::1/"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises((http.FetchFailed, Refused)):
        fetch(url, origins=set())


def test_proxies_from_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(answer(b"direct")) as port:
        assert fetch(f"http://127.0.0.1:{port}/", origins={f"127.0.0.1:{port}"})[1] == b"direct"


def test_the_async_client_is_guarded_too() -> None:
    async def go(port: int) -> None:
        async with http.async_client(private_origins={f"127.0.0.1:{port}"}) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "fine"
        async with http.async_client(private_origins=set()) as client:
            with pytest.raises(Refused):
                await client.get(f"http://127.0.0.1:{port}/")
        async with http.async_client(private_origins={"127.0.0.1:1"}) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("http://127.0.0.1:1/")

    with serving(answer(b"fine")) as port:
        asyncio.run(go(port))
