"""Requests that no client library would send, byte by byte, to a real server."""

import json
import socket
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from authserve.http.json_body import MAX_BODY_BYTES
from tests.support.server import DEADLINE_SECS, Server

pytestmark = pytest.mark.gunicorn

LOGIN = b"/api/v1/auth/login"
BODY = b'{"identifier": "alice", "password": "correct horse battery staple"}'


def exchange(server: Server, request: bytes) -> tuple[int, dict[str, Any]]:
    """Send only these bytes and read one answer, which must be a problem."""
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port), DEADLINE_SECS) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection)
        response.begin()
        problem = json.loads(response.read())
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == response.status
    assert problem["correlation_id"] == response.headers["X-Correlation-ID"]
    return response.status, problem


def post(head: bytes, body: bytes) -> bytes:
    """A POST of JSON to login, with more headers."""
    start = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % LOGIN
    return start + head + b"\r\n\r\n" + body


def in_chunks(body: bytes, size: int = 4_096) -> bytes:
    """The chunked form of a body (RFC 9112 §7.1)."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


CHUNKED = b"Transfer-Encoding: chunked"


def get(path: bytes, header: bytes = b"X: y") -> bytes:
    """A GET with one more header."""
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (path, header)


FULL = BODY.ljust(MAX_BODY_BYTES)
ME = b"/api/v1/users/me"

EXCHANGES = {
    # All of it is read and checked; there is no such account.
    post(b"Content-Length: %d" % len(FULL), FULL): (401, "invalid_credentials"),
    post(CHUNKED, in_chunks(FULL)): (401, "invalid_credentials"),
    # One byte more is too much, however it comes.
    post(b"Content-Length: %d" % (len(FULL) + 1), FULL + b" "): (413, "payload_too_large"),
    post(b"Content-Length: 1000000", FULL): (413, "payload_too_large"),
    post(CHUNKED, in_chunks(FULL + b" ")): (413, "payload_too_large"),
    post(CHUNKED, in_chunks(FULL * 16)): (413, "payload_too_large"),
    post(CHUNKED, in_chunks(FULL * 16, size=len(FULL) * 16)): (413, "payload_too_large"),
    # It ends too early, or contradicts its framing.
    post(b"Content-Length: %d" % (len(BODY) + 1), BODY): (400, "malformed_request"),
    post(CHUNKED, in_chunks(BODY)[:-5]): (400, "malformed_request"),
    post(CHUNKED, b"10\r\n{}"): (400, "malformed_request"),
    post(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"): (400, "malformed_request"),
    post(CHUNKED, b"2\r\n{}XX0\r\n\r\n"): (400, "malformed_request"),
    post(CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"): (400, "malformed_request"),
    # HTTP/1.1 requires the Host header (RFC 9112 §3.2).
    b"GET /no/such/path HTTP/1.1\r\nX: y\r\n\r\n": (400, "malformed_request"),
    b"GET /no/such/path HTTP/1.0\r\nX: y\r\n\r\n": (404, "not_found"),
    # Two readers could read these in two ways.
    get(ME, b"Authorization: Bearer a\r\nAuthorization: Bearer b"): (400, "malformed_request"),
    get(ME, b"Authorization: Bearer a\r\nauthorization: Basic b"): (400, "malformed_request"),
    get(ME, b"Authorization: Bearer a,b"): (401, "invalid_token"),
    get(ME + b"?access_token=a"): (422, "validation_failed"),
    get(ME + b"?x=%ff"): (400, "malformed_request"),
    get(ME + b"?x=%00"): (400, "malformed_request"),
    get(b"/api/v1/users%2Fme"): (404, "not_found"),
    get(b"/api/v1/users%2fme"): (404, "not_found"),
    get(b"http://example.com/api/v1/users%2fme"): (404, "not_found"),
    get(b"//api/v1/users/me"): (404, "not_found"),
    get(b"/api//v1/users/me"): (404, "not_found"),
    get(b"/api/v1/users/me/"): (404, "not_found"),
    get(b"/api/v1/roles/../users/me"): (404, "not_found"),
    get(b"/api/v1/users/me%00"): (404, "not_found"),
    get(b"/api/v1/users/%ff"): (404, "not_found"),
}


def test_it_refuses_what_is_broken_or_can_be_read_in_two_ways(server: Server) -> None:
    for request, (status, code) in EXCHANGES.items():
        found, problem = exchange(server, request)
        assert (found, problem["code"]) == (status, code), request[:200]
