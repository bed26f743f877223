"""Where a request ends, however it is cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserve.http.json_body import MAX_BODY_BYTES
from authserve.serving.arrival import MAX_HEAD_BYTES, MAX_RAW_BYTES, Arrival

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

COMPLETE = [
    GET + b"\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.2\r\nContent-Length: 3\r\n\r\nabc",
    POST + b"Content-Length: 0\r\n\r\n",
    POST + b"Content-Length: 3\r\n\r\nabc",
    POST + b"content-length:3\r\nExpect: 100-continue\r\n\r\nabc",
    POST + b"Content-Length: 65536\r\n\r\n" + b"a" * MAX_BODY_BYTES,
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"3;name=value\r\nabc\r\na\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
]
REFUSED = [
    b"\n",
    b"\r\n",
    b"GET /\r\n",
    b"GET / HTTP/2.0\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\n",
    b"GET  / HTTP/1.1\r\n",
    POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST + b"Content-Length: +3\r\n\r\n",
    POST + b"Content-Length: -3\r\n\r\n",
    POST + b"Content-Length: 65537\r\n\r\n",
    POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    POST + b"Transfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"-3\r\n",
    CHUNKED + b"10001\r\n" + b"a" * (MAX_BODY_BYTES + 1),
    CHUNKED + b"8001\r\n" + b"a" * 0x8001 + b"\r\n8000\r\n" + b"a" * 0x8000 + b"\r\n",
]


def arrival_of(*pieces: bytes) -> Arrival:
    arrival = Arrival()
    for piece in pieces:
        assert not arrival.is_whole
        arrival.add(piece)
    return arrival


@pytest.mark.parametrize("request_", COMPLETE, ids=lambda raw: repr(raw[:90]))
def test_it_is_complete_with_its_last_byte_and_not_before(request_: bytes) -> None:
    arrival = arrival_of(request_[:-1], request_[-1:])
    assert arrival.is_whole
    assert arrival.is_complete
    assert bytes(arrival.received) == request_
    assert not arrival_of(request_[:-1]).is_whole


@pytest.mark.parametrize("request_", REFUSED, ids=lambda raw: repr(raw[:90]))
def test_what_is_refused_is_not_waited_for_nor_followed_by_another(request_: bytes) -> None:
    arrival = arrival_of(request_)
    assert arrival.is_whole
    assert not arrival.is_complete


@given(st.sampled_from([raw for raw in COMPLETE if len(raw) < 1_000]), st.data())
def test_pieces_make_no_difference(request_: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(1, len(request_) - 1), unique=True).map(sorted))
    edges = [0, *cuts, len(request_)]
    arrival = arrival_of(*(request_[a:b] for a, b in pairwise(edges)))
    assert arrival.is_complete


def test_a_second_request_does_not_make_the_first_another() -> None:
    assert arrival_of(COMPLETE[3] + GET).is_complete
    assert not arrival_of(COMPLETE[3][:-1]).is_complete


@pytest.mark.parametrize(
    ("start", "limit"),
    [
        (GET + b"X: ", MAX_HEAD_BYTES),
        (b"GET /", MAX_HEAD_BYTES),
        (CHUNKED + b"0\r\nX: ", MAX_RAW_BYTES),
    ],
)
def test_what_never_ends_is_too_large(start: bytes, limit: int) -> None:
    assert not arrival_of(start.ljust(limit, b"x")).is_too_large
    arrival = arrival_of(start.ljust(limit, b"x"), b"x")
    assert arrival.is_too_large
    assert not arrival.is_whole


def test_a_head_that_ends_beyond_its_limit_is_too_large_however_it_comes() -> None:
    head = (GET + b"X: ").ljust(MAX_HEAD_BYTES - 3, b"x") + b"\r\n\r\n"
    assert arrival_of(head).is_too_large
    assert arrival_of(head[:100], head[100:]).is_too_large
    assert arrival_of(head).is_head
    assert not arrival_of(head[:100] + head[101:]).is_too_large


def test_chunks_of_one_byte_are_too_large_before_their_framing_fills_memory() -> None:
    arrival = arrival_of(CHUNKED + b"1\r\na\r\n" * (MAX_RAW_BYTES // 6))
    assert arrival.is_too_large
    assert not arrival.is_head


@pytest.mark.parametrize(
    ("head", "awaits"),
    [
        (POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", True),
        (POST + b"expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (POST + b"Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n", False),
        (POST + b"Expect: 100-continue\r\n\r\n", False),
        (POST + b"Content-Length: 3\r\n\r\n", False),
    ],
)
def test_a_client_waits_for_a_100_only_for_a_body_that_is_read(head: bytes, awaits: bool) -> None:
    assert arrival_of(head).awaits_continue is awaits
