"""The end of a request in pieces of any size, and the cost of finding it."""

import socket
from collections.abc import Iterable
from itertools import pairwise

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import (
    InvalidHeader,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from authserve.http.json_body import MAX_BODY_BYTES
from authserve.serving.request_buffer import (
    LimitBodyError,
    MemoryUnreader,
    RequestBuffer,
)

MAX_HEAD_BYTES = 32 * 1024
MAX_RAW_BYTES = 160 * 1024

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CLIENT = ("127.0.0.1", 1)

COMPLETE = [
    GET + b"\r\n",
    b"\r\n" + GET + b"\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.2\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    POST + b"Content-Length: 0\r\n\r\n",
    POST + b"Content-Length: 3\r\n\r\nabc",
    POST + b"content-length:3\r\nExpect: 100-continue\r\n\r\nabc",
    POST + b"Content-Length: 4\r\n\r\n\r\n\r\n",
    POST + b"Content-Length: 65536\r\n\r\n" + b"a" * MAX_BODY_BYTES,
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n",
    CHUNKED + b"3;name=value\r\nabc\r\na\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\nTrailer-Field: x\r\n\r\n",
]
REFUSED = [
    b"\n",
    b"\r\n\r\n",
    b"GET /\r\n",
    b"GET / HTTP/2.0\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\n",
    b"GET  / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n",
    POST + b"Content-Length: +3\r\n\r\n",
    POST + b"Content-Length: -3\r\n\r\n",
    POST + b"Content-Length: 65537\r\n\r\n",
    POST + b"Content-Length: 1000000000\r\n\r\n",
    POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"-3\r\n",
    CHUNKED + b"3\r\nabcd\r\n",
    CHUNKED + b"10001\r\n",
    CHUNKED + b"fffffffff\r\n",
    CHUNKED + b"10001\r\n" + b"a" * (MAX_BODY_BYTES + 1),
    CHUNKED + b"8001\r\n" + b"a" * 0x8001 + b"\r\n8000\r\n" + b"a" * 0x8000 + b"\r\n",
]


def buffer_of(*pieces: bytes) -> RequestBuffer:
    """A request of which all pieces have arrived, and of which the last may be its end."""
    buffer = RequestBuffer(Config(), CLIENT, number=1)
    feed(buffer, pieces[:-1])
    assert buffer.add(pieces[-1])
    return buffer


def partial_buffer(*pieces: bytes) -> RequestBuffer:
    buffer = RequestBuffer(Config(), CLIENT, number=1)
    feed(buffer, pieces)
    return buffer


def feed(buffer: RequestBuffer, pieces: Iterable[bytes]) -> None:
    """Feed pieces, none of which completes the request."""
    for piece in pieces:
        assert not buffer.add(piece)


def from_a_socket(raw: bytes) -> Request:
    """The request as gunicorn reads it by itself."""
    client, server = socket.socketpair()
    with client, server:
        client.sendall(raw)
        request = next(RequestParser(Config(), server, CLIENT))
        request.body.all = request.body.read()
    return request


@pytest.mark.parametrize("raw", COMPLETE, ids=lambda raw: repr(raw[:90]))
def test_it_is_whole_with_its_last_byte_and_not_before(raw: bytes) -> None:
    request = next(buffer_of(raw[:-1], raw[-1:]))
    expected = from_a_socket(raw)
    for name in ("method", "uri", "version", "headers"):
        assert getattr(request, name) == getattr(expected, name)
    assert request.body.read() == expected.body.all


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: repr(raw[:90]))
def test_what_is_refused_is_not_waited_for(raw: bytes) -> None:
    with pytest.raises(ParseException):
        partial_buffer(raw)


@given(st.sampled_from([raw for raw in COMPLETE if len(raw) < 1_000]), st.data())
@settings(deadline=None, max_examples=50)
def test_pieces_make_no_difference(raw: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(1, len(raw) - 1), unique=True).map(sorted))
    edges = [0, *cuts, len(raw)]
    request = next(buffer_of(*(raw[a:b] for a, b in pairwise(edges))))
    assert request.body.read() == from_a_socket(raw).body.all


@given(st.lists(st.binary(min_size=1, max_size=300) | st.just(b"\r\n\r\n"), max_size=30), st.data())
@settings(deadline=None, max_examples=50)
def test_chunks_are_put_together_wherever_the_pieces_are_cut(
    chunks: list[bytes], data: st.DataObject
) -> None:
    raw = CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (*chunks, b""))
    cuts = data.draw(st.lists(st.integers(1, len(raw) - 1), unique=True, max_size=90).map(sorted))
    edges = [0, *cuts, len(raw)]
    assert next(buffer_of(*(raw[a:b] for a, b in pairwise(edges)))).body.read() == b"".join(chunks)


def test_what_follows_belongs_to_the_next_request() -> None:
    for raw in COMPLETE:
        buffer = buffer_of(raw + GET)
        assert next(buffer).body.read() == from_a_socket(raw).body.all
        assert buffer.unreader.take_buffered() == GET


TRICKLES = {
    "a request line": b"GET /".ljust(3_000, b"x") + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "short lines": GET + b"a:\r\n" * 90 + b"\r\n",
    "a body": POST + b"Content-Length: 60000\r\n\r\n" + b"\r\n" * 30_000,
    "one chunk": CHUNKED + b"ea60\r\n" + b"\r\n" * 30_000 + b"\r\n0\r\n\r\n",
    "one-byte chunks": CHUNKED + b"1\r\na\r\n" * 26_000 + b"0\r\n\r\n",
    "chunks like ends": CHUNKED + b"4\r\n\r\n\r\n\r\n" * 15_000 + b"0\r\n\r\n",
    "a long chunk size": CHUNKED + b"1;x=%s\r\na\r\n0\r\n\r\n" % (b"x" * 8_000),
    "trailers": CHUNKED + b"0\r\n" + b"a:\r\n" * 90 + b"\r\n",
}


@pytest.mark.parametrize("kind", TRICKLES)
@pytest.mark.parametrize("size", [1, 7])
def test_bytes_that_trickle_in_are_read_a_few_times_at_most(
    monkeypatch: pytest.MonkeyPatch, kind: str, size: int
) -> None:
    calls, read, chunk = [0], [0], MemoryUnreader.chunk

    def counting(self: MemoryUnreader, size_hint: int | None = None) -> bytes:
        calls[0] += 1
        piece = chunk(self, size_hint)
        read[0] += len(piece)
        return piece

    monkeypatch.setattr(MemoryUnreader, "chunk", counting)
    raw = TRICKLES[kind]
    buffer_of(*(raw[start : start + size] for start in range(0, len(raw), size)))
    assert read[0] <= 6 * len(raw)
    assert calls[0] <= 100 + len(raw)


def test_a_long_request_line_is_refused_before_its_end() -> None:
    buffer = RequestBuffer(Config(), CLIENT, number=1)
    with pytest.raises(LimitRequestLine):
        feed(buffer, [b"x"] * 30_000)


@pytest.mark.parametrize(
    ("start", "error"),
    [(GET + b"X: ", LimitRequestHeaders), (CHUNKED + b"0\r\nX: ", LimitBodyError)],
)
@pytest.mark.parametrize("size", [1, 1_000, MAX_RAW_BYTES + 1])
def test_what_never_ends_is_too_large(start: bytes, error: type[Exception], size: int) -> None:
    limit = MAX_HEAD_BYTES if error is LimitRequestHeaders else MAX_RAW_BYTES
    raw = start.ljust(limit, b"x")
    buffer = partial_buffer(*(raw[at : at + size] for at in range(0, limit, size)))
    with pytest.raises(error):
        buffer.add(b"x")


def test_a_head_that_ends_beyond_its_limit_is_too_large_however_it_comes() -> None:
    lines = b"".join(b"X%d: %s\r\n" % (n, b"x" * 4_000) for n in range(7))
    head = GET + lines + b"Y: ".ljust(MAX_HEAD_BYTES - len(GET + lines) - 3, b"y") + b"\r\n\r\n"
    assert len(head) == MAX_HEAD_BYTES + 1
    for pieces in ((head,), (head[:100], head[100:]), (head[:-1], head[-1:])):
        buffer = RequestBuffer(Config(), CLIENT, number=1)
        with pytest.raises(LimitRequestHeaders):
            feed(buffer, pieces)
    assert buffer_of(head.replace(b"yy", b"y", 1))


def test_chunks_of_one_byte_are_too_large_before_their_framing_fills_memory() -> None:
    with pytest.raises(LimitBodyError):
        partial_buffer(CHUNKED + b"1\r\na\r\n" * (MAX_RAW_BYTES // 6))


@pytest.mark.parametrize(
    ("raw", "has_head"),
    [(b"", False), (b"\r\n", False), (GET, False), (CHUNKED + b"3\r\nab", True)],
)
def test_the_clients_end_is_no_end_of_a_request(raw: bytes, has_head: bool) -> None:
    buffer = partial_buffer(*([raw] if raw else []))
    with pytest.raises(NoMoreData):
        buffer.add(b"")
    assert buffer.has_head is has_head


def test_http_1_1_requires_the_host_header() -> None:
    with pytest.raises(InvalidHeader):
        partial_buffer(b"GET / HTTP/1.1\r\nX: y\r\n\r\n")
    assert buffer_of(b"GET / HTTP/1.0\r\nX: y\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "awaits"),
    [
        (POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", True),
        (POST + b"expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (POST + b"Content-Length: 3\r\n\r\n", False),
    ],
)
def test_a_client_waits_for_a_100_once(head: bytes, awaits: bool) -> None:
    buffer = partial_buffer(head)
    assert buffer.awaits_continue is awaits
    buffer.note_continue()
    assert not buffer.awaits_continue


def test_a_client_that_has_sent_its_body_waits_for_no_100() -> None:
    raw = POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    assert not next(buffer_of(raw))._expected_100_continue
