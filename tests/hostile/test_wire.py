"""Bytes on a wire, to a real gunicorn: each is refused as a problem, in one line of the log."""

import json
import zlib
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from authserve.database.statements import Base
from authserve.database.transactions import read_all
from authserve.ratelimit.models import RateCounter
from tests.gunicorn.conftest import Site, site  # noqa: F401 - a fixture
from tests.hostile.conftest import MARK
from tests.support.server import Server
from tests.support.wire import Answer, Connections

pytestmark = pytest.mark.gunicorn

BODY = json.dumps({"email": f"{MARK}@example.com", "password": "correct horse battery"}).encode()
REGISTER = b"POST /api/v1/auth/register HTTP/1.1\r\nHost: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY_LENGTH = b"Content-Length: %d\r\n" % len(BODY)
ME = b"/api/v1/users/me"
BOMB = zlib.compress(b" " * 2**25)[:60_000]


def post(*head: bytes, body: bytes = b"") -> bytes:
    return REGISTER + JSON + b"".join(head) + b"\r\n" + body


def get(target: bytes = ME, *head: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    line = b"%s %s HTTP/%s\r\nHost: localhost\r\n" % (method, target, version)
    return line + b"".join(head) + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = b"GET /api/v1/users/me HTTP/1.1\r\nHost: localhost\r\n\r\n"

REFUSED = {
    # Two readers could see two lengths (RFC 9112 §6.3, §11.2).
    "a length and chunks": (400, post(BODY_LENGTH, CHUNKED, body=ONE_CHUNK)),
    "chunks and a length": (400, post(CHUNKED, b"Content-Length: 4\r\n", body=ONE_CHUNK)),
    "two lengths": (400, post(BODY_LENGTH, b"Content-Length: 0\r\n", body=BODY)),
    "the same length twice": (400, post(BODY_LENGTH, BODY_LENGTH, body=BODY)),
    "two lengths in one field": (400, post(b"Content-Length: 5, 5\r\n", body=BODY)),
    "a negative length": (400, post(b"Content-Length: -1\r\n", body=BODY)),
    "a length with a sign": (400, post(b"Content-Length: +5\r\n", body=BODY)),
    "a length in hexadecimal": (400, post(b"Content-Length: 0x10\r\n", body=BODY)),
    "a length in other digits": (400, post("Content-Length: ٥\r\n".encode(), body=BODY)),
    "a length beyond 64 bits": (413, post(b"Content-Length: %d\r\n" % 10**30, body=BODY)),
    "an empty length": (400, post(b"Content-Length:\r\n", body=BODY)),
    "a length before a colon": (400, post(b"Content-Length : 5\r\n", body=BODY)),
    "chunks in chunks": (400, post(b"Transfer-Encoding: chunked, chunked\r\n", body=ONE_CHUNK)),
    "chunks that are not last": (
        400,
        post(b"Transfer-Encoding: chunked, gzip\r\n", body=ONE_CHUNK),
    ),
    "another coding": (400, post(b"Transfer-Encoding: gzip\r\n", body=BODY)),
    "an unknown coding": (400, post(b"Transfer-Encoding: xchunked\r\n", body=ONE_CHUNK)),
    "a coding after a line end": (400, post(b"Transfer-Encoding:\n chunked\r\n", body=ONE_CHUNK)),
    "chunks in HTTP/1.0": (
        400,
        get(version=b"1.0").replace(b"\r\n\r\n", b"\r\n" + CHUNKED + b"\r\n"),
    ),
    "a chunk of no size": (400, post(CHUNKED, body=b"\r\n" + BODY)),
    "a chunk of a negative size": (400, post(CHUNKED, body=b"-5\r\n" + BODY)),
    "a chunk of a prefixed size": (400, post(CHUNKED, body=b"0x5\r\nabcde\r\n0\r\n\r\n")),
    "a chunk without its end": (400, post(CHUNKED, body=b"2\r\n{}XX0\r\n\r\n")),
    "chunks over the limit": (413, post(CHUNKED, body=b"2000\r\n%s\r\n" % (b" " * 0x2000) * 9)),
    "a chunk over the limit": (413, post(CHUNKED, body=b"fffffff\r\n" + b" " * 70_000)),
    "a chunk beyond 64 bits": (413, post(CHUNKED, body=b"f" * 20 + b"\r\n" + b" " * 70_000)),
    "chunks of a byte": (413, post(CHUNKED, body=b"1\r\n \r\n" * 40_000)),
    # What is no header field.
    "a folded line": (400, get(ME, b"X-Fold: a\r\n b\r\n")),
    "a line without a colon": (400, get(ME, MARK.encode() + b"\r\n")),
    "a field without a name": (400, get(ME, b": x\r\n")),
    "a name with a space": (400, get(ME, b"X y: z\r\n")),
    "a name with a NUL": (400, get(ME, b"X\x00: z\r\n")),
    "a value with a NUL": (400, get(ME, b"X: \x00\r\n")),
    "a value with a bare return": (400, get(ME, b"X: a\rX-Injected: b\r\n")),
    "two hosts": (400, get(ME, b"Host: example.com\r\n")),
    "two tokens": (400, get(ME, b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")),
    "101 fields": (431, get(ME, *[b"X-%d: y\r\n" % n for n in range(101)])),
    "a field of 9 KiB": (431, get(ME, b"X: %s\r\n" % (b"y" * 9_000))),
    "fields of 40 KiB": (431, get(ME, *[b"X-%d: %s\r\n" % (n, b"y" * 4_000) for n in range(10)])),
    "fields without an end": (431, get(ME, b"X: y\r\n" * 8_000)[:-2]),
    "an expectation": (417, post(b"Expect: 200-ok\r\n", BODY_LENGTH, body=BODY)),
    # What is no request line.
    "a line of 5 KiB": (414, get(b"/" + b"a" * 5_000)),
    "a line of 60 KiB": (414, b"GET /" + b"a" * 60_000),
    "HTTP/0.9": (400, b"GET /healthz\r\n\r\n"),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/11": (400, get(version=b"11")),
    "no method": (400, b" /healthz HTTP/1.1\r\n\r\n"),
    "a method in lower case": (400, get(method=b"get")),
    "a method with a NUL": (400, get(method=b"G\x00T")),
    "two spaces": (400, b"GET  /healthz HTTP/1.1\r\n\r\n"),
    "a tab": (400, b"GET\t/healthz\tHTTP/1.1\r\n\r\n"),
    "bare line feeds": (400, b"GET /healthz HTTP/1.1\nHost: localhost\n\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "a target with a NUL": (400, get(b"/healthz\x00")),
    "a target beyond ASCII": (400, get("/é".encode())),
    "an asterisk": (400, get(b"*")),
    "an authority": (404, get(b"example.com:443", method=b"CONNECT")),
    # What the application refuses.
    "TRACE": (405, get(method=b"TRACE")),
    "an unknown method": (405, get(method=b"PURGE")),
    "an overridden method": (
        405,
        post(b"X-HTTP-Method-Override: DELETE\r\n").replace(b"/auth/register", b"/users/me"),
    ),
    "an encoded slash": (404, get(b"/api/v1/users%2fme")),
    "encoded dots": (404, get(b"/api/v1/roles/%2e%2e/users/me")),
    "dots": (404, get(b"/api/v1/roles/../users/me")),
    "two slashes": (404, get(b"//api/v1/users/me")),
    "a path with an encoded NUL": (404, get(b"/api/v1/users/me%00")),
    "a path with a parameter": (404, get(b"/api/v1/users/me;a=b")),
    "a path in upper case": (404, get(b"/API/V1/USERS/ME")),
    "a query with an encoded NUL": (400, get(ME + b"?a=%00")),
    "a token in the query": (422, get(ME + b"?access_token=" + MARK.encode())),
    "a bomb": (
        415,
        post(b"Content-Encoding: deflate\r\nContent-Length: %d\r\n" % len(BOMB), body=BOMB),
    ),
    "UTF-16": (400, post(b"Content-Length: 4\r\n", body=b"\xff\xfe{\x00")),
    "no content type": (415, REGISTER + BODY_LENGTH + b"\r\n" + BODY),
    "no token": (401, get()),
    "a forged token": (401, get(ME, b"Authorization: Bearer %s\r\n" % MARK.encode())),
    "an escape sequence as agent": (401, get(ME, b"User-Agent: \xff\x9b31m%s\r\n" % MARK.encode())),
}


@pytest.fixture
def connections(site: Site) -> Iterator[Connections]:  # noqa: F811
    with Connections(site.server) as opened:
        yield opened


def stored(app: Flask) -> list[str]:
    with app.app_context():
        return [
            repr(tuple(row))
            for table in Base.metadata.sorted_tables
            if table.name != RateCounter.__tablename__
            for row in read_all(select(table))
        ]


def lines_of(server: Server, answer: Answer) -> list[dict[str, object]]:
    told = answer.headers["x-correlation-id"]
    return [line for line in server.log() if line["correlation_id"] == told]


def test_what_is_no_good_request_is_refused_as_a_problem_and_logged_once(
    site: Site,  # noqa: F811
    connections: Connections,
    subtests: pytest.Subtests,
) -> None:
    before, answers = stored(site.app), {}
    for kind, (status, request) in REFUSED.items():
        with subtests.test(kind):
            answers[kind] = connections.open(request).answer()
            assert answers[kind].status == status
            answers[kind].problem()
            assert MARK.encode() not in answers[kind].body
            assert answers[kind].headers["x-content-type-options"] == "nosniff"
    assert stored(site.app) == before
    for kind, answer in answers.items():
        with subtests.test(kind):
            (line,) = lines_of(site.server, answer)
            assert line["status"] == answer.status
    assert MARK not in site.server.output()


def test_nothing_hides_behind_a_refused_request(
    site: Site,  # noqa: F811
    connections: Connections,
) -> None:
    """The start of the next request is unknown, so there is no next one (RFC 9112 §11.2)."""
    for kind in ("a length and chunks", "two lengths", "a folded line", "a chunk of no size"):
        connection = connections.open(REFUSED[kind][1] + SMUGGLED)
        assert connection.answer().status == 400, kind
        assert connection.is_closed(), kind


def test_a_hundred_requests_at_once_on_one_connection_are_a_hundred(
    site: Site,  # noqa: F811
    connections: Connections,
) -> None:
    connection = connections.open(get() * 100)
    answers = [connection.answer() for _ in range(100)]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.headers["x-correlation-id"] for answer in answers}) == 100


def test_a_body_is_not_the_next_request(site: Site, connections: Connections) -> None:  # noqa: F811
    """A body that no view reads is skipped."""
    request = get(b"/healthz", b"Content-Length: %d\r\n" % len(SMUGGLED))
    connection = connections.open(request + SMUGGLED + get(b"/readyz"))
    assert json.loads(connection.answer().body) == {"status": "ok"}
    assert "checks" in json.loads(connection.answer().body)
