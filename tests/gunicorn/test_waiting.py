"""Under overload, requests that have waited for too long are refused."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import make_url

from authserve.http.middleware import MAX_WAIT_SECS
from tests.conftest import fresh_database, make_settings
from tests.support.clients import PASSWORD
from tests.support.server import Server
from tests.support.wire import Connections

pytestmark = pytest.mark.gunicorn

THREADS = 2

WRITERS = 3 * THREADS
"""Each holds a thread until SQLite's wait for the lock ends, 2 s later."""


def write_by(token: str) -> bytes:
    """Return a request that waits for the lock."""
    body = b'{"display_name": "Alice"}'
    head = (
        "PATCH /api/v1/users/me HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def test_a_call_that_has_waited_too_long_for_a_thread_is_turned_away(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("waiting")
    environ = {"WEB_CONCURRENCY": "1", "WEB_THREADS": str(THREADS)}
    with fresh_database(request, "sqlite", folder) as url:
        server = Server(make_settings(url, folder), folder / "server", environ)
        server.wait_until_healthy()
        body = {"email": "alice@example.com", "password": PASSWORD}
        assert server.client().post("/api/v1/auth/register", json=body).status_code == 201
        sign_in = {"identifier": "alice@example.com", "password": PASSWORD}
        tokens = server.client().post("/api/v1/auth/login", json=sign_in).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        with (
            closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as other,
            Connections(server) as writers,
        ):
            other.execute("BEGIN IMMEDIATE")
            for _ in range(WRITERS):
                writers.open(write_by(tokens["access_token"]))
            refused = server.client(until_served=False).get("/api/v1/users/me", headers=headers)
            alive = server.client().get("/healthz")
        assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.elapsed.total_seconds() >= MAX_WAIT_SECS
        assert alive.status_code == 200
        assert server.client().get("/api/v1/users/me", headers=headers).status_code == 200
        assert server.stop() == 0, server.output()
