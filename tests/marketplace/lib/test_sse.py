"""The event-stream encoder and parser: what comes out never depends on where the bytes were cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib import sse

STREAM = (
    '\ufeff: hello\r\n\r\ndata: {"text":"na\u00efve \u2603 \U0001f600"}\r\n\r\n'
    "event: ping\rid: 7\rdata: one\rdata:two\r\r"
    "retry: 10\nunknown\ndata\n\ndata: [DONE]\n\n"
).encode()
EVENTS = [
    sse.Event('{"text":"na\u00efve \u2603 \U0001f600"}'),
    sse.Event("one\ntwo", "ping", "7"),
    sse.Event("", None, "7"),
    sse.Event("[DONE]", None, "7"),
]


def read(*pieces: bytes) -> list[sse.Event]:
    parser = sse.Parser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish()


def test_it_reads_a_stream() -> None:
    assert read(STREAM) == EVENTS


def test_every_cut_in_two_reads_the_same() -> None:
    for at in range(len(STREAM) + 1):
        assert read(STREAM[:at], STREAM[at:]) == EVENTS, at


def test_byte_by_byte_reads_the_same() -> None:
    assert read(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


LINES = st.sampled_from(
    [b"data: a", b"data:", b"data: \xf0\x9f\x98\x80", b": c", b"event: x", b"id: 1", b"", b"odd", b"data: \xff\xfe"]
)


@given(
    st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=30),
    st.lists(st.integers(min_value=0, max_value=400), max_size=12),
)
def test_any_cuts_of_any_stream_read_the_same(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(line + end for line, end in lines)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert read(*pieces) == read(stream)


@given(st.text(), st.one_of(st.none(), st.text(alphabet="abc", min_size=1)))
def test_what_is_written_is_read_back(data: str, name: str | None) -> None:
    normal = data.replace("\r\n", "\n").replace("\r", "\n")
    assert read(sse.event(data, name)) == [sse.Event(normal, name)]


@given(st.text())
def test_a_comment_is_never_an_event(text: str) -> None:
    assert read(sse.comment(text) + sse.event("x")) == [sse.Event("x")]


@pytest.mark.parametrize("value", ["a\nb", "a\rb"])
def test_a_name_cannot_smuggle_another_line(value: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        sse.event("x", event=value)


@pytest.mark.parametrize("piece", [b"x" * 10, b"data: 12345\n"])
def test_an_event_that_never_ends_is_refused(piece: bytes) -> None:
    parser = sse.Parser(max_event_bytes=1000)
    for _ in range(50):
        parser.feed(piece)
    with pytest.raises(sse.EventTooLarge):
        parser.feed(piece * 1000)


def test_an_unfinished_last_event_is_given_at_the_end() -> None:
    parser = sse.Parser()
    assert parser.feed(b"data: [DONE]") == []
    assert parser.finish() == [sse.Event("[DONE]")]
