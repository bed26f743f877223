"""Connecting to a database that is away, that hangs, and that refuses."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from authserve.app import create_app
from authserve.core.breakers import BREAKERS, Breaker
from authserve.database.circuit import (
    BREAKER_FAILURES,
    PROBE_THREAD,
    DatabaseAwayError,
    is_outage,
)
from authserve.database.transactions import db, reading
from tests.conftest import PostgreSQL, make_settings
from tests.support.clients import Caller
from tests.support.crowd import DEADLINE_SECS, all_at_once
from tests.support.marks import both_databases, on_postgresql, on_sqlite
from tests.support.ports import reserved_port

pytestmark = [both_databases, pytest.mark.fault]

CALLERS = 16


def read() -> int:
    with reading() as connection:
        one: int = connection.scalar(text("SELECT 1"))
        return one


def failure() -> BaseException | None:
    """Return the driver's error of a failing read."""
    with pytest.raises(OperationalError) as caught:
        read()
    return caught.value.orig


def database_breaker() -> Breaker:
    (breaker,) = [breaker for breaker in BREAKERS.get() if breaker.name == "database"]
    return breaker


@contextmanager
def application(port: int, folder: Path) -> Iterator[Flask]:
    """One whose database is at a port of this machine."""
    url = f"postgresql+psycopg2://unknown@127.0.0.1:{port}/none?sslmode=disable"
    app = create_app(make_settings(url, folder, database_pool_size=CALLERS))
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * CALLERS) as listening:
        listening.settimeout(DEADLINE_SECS)
        yield listening


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with reserved_port() as port:
        yield port


def test_after_refused_connections_no_more_are_tried(tmp_path: Path, closed_port: int) -> None:
    with application(closed_port, tmp_path):
        for _ in range(BREAKER_FAILURES):
            assert not isinstance(failure(), DatabaseAwayError)
        assert database_breaker().state == "open"
        assert isinstance(failure(), DatabaseAwayError)


def test_the_log_shows_where_an_outage_came_from_once(
    tmp_path: Path, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    login = {"identifier": "alice", "password": "a password"}
    with application(closed_port, tmp_path) as app:
        for _ in range(2 * BREAKER_FAILURES):
            app.test_client().get("/readyz")
            app.test_client().post("/api/v1/auth/login", json=login)
        shown = [record for record in caplog.records if record.exc_info]
        assert len(shown) <= BREAKER_FAILURES
        assert len(caplog.records) > 2 * BREAKER_FAILURES


def test_a_caller_gets_retry_after(tmp_path: Path, closed_port: int) -> None:
    with application(closed_port, tmp_path) as app:
        database_breaker().trip()
        answer = app.test_client().get("/api/v1/users/me", headers={"Authorization": "Bearer x"})
        assert answer.status_code == 401
        login = {"identifier": "alice", "password": "a password"}
        answer = app.test_client().post("/api/v1/auth/login", json=login)
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["code"] == "service_unavailable"
    assert 1 <= int(answer.headers["Retry-After"]) <= 8


def test_sixteen_hanging_connects_hang_together(tmp_path: Path, listener: socket.socket) -> None:
    """One after the other, only the first could begin: none ends before all have begun."""
    accepted: list[socket.socket] = []

    def accept_all() -> None:
        while len(accepted) < CALLERS:
            accepted.append(listener.accept()[0])
        listener.close()
        for connection in accepted:
            connection.close()

    thread = Thread(target=accept_all)
    thread.start()

    def connect() -> None:
        with app.app_context(), suppress(OperationalError):
            read()

    with application(listener.getsockname()[1], tmp_path) as app:
        all_at_once([connect] * CALLERS)
        thread.join()
        assert len(accepted) == CALLERS
        assert database_breaker().state == "open"


@on_postgresql
def test_a_call_that_reads_gets_retry_after(app: Flask, alice: Caller) -> None:
    with app.app_context():
        db.engine.dispose()
        database_breaker().trip()
    answer = alice.get("/api/v1/users/me")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1


@on_postgresql
@pytest.mark.usefixtures("context")
def test_it_heals_without_calls() -> None:
    """And no caller waits meanwhile for the probe."""
    assert read() == 1
    db.engine.dispose()
    cut_off(database_breaker())
    assert isinstance(failure(), DatabaseAwayError)
    wait_until_closed(database_breaker())
    assert read() == 1


def test_a_disposed_engine_is_probed_no_more(tmp_path: Path, closed_port: int) -> None:
    with application(closed_port, tmp_path):
        for _ in range(BREAKER_FAILURES):
            failure()
        (probe,) = [thread for thread in threading.enumerate() if thread.name == PROBE_THREAD]
    probe.join(DEADLINE_SECS)
    assert not probe.is_alive()


@on_postgresql
@pytest.mark.usefixtures("context")
def test_where_no_thread_can_probe_a_caller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    assert read() == 1
    breaker = database_breaker()
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        cut_off(breaker)
    monkeypatch.setattr(breaker, "_monotonic", lambda: float("inf"))
    assert read() == 1
    assert breaker.is_closed


def cut_off(breaker: Breaker) -> None:
    """Cut a frozen connection, as the watchdog does."""
    with reading() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.cut()
        connection.invalidate()
    assert breaker.is_open


def wait_until_closed(breaker: Breaker) -> None:
    give_up = time.monotonic() + DEADLINE_SECS
    while not breaker.is_closed:
        assert time.monotonic() < give_up
        time.sleep(0.05)


@on_postgresql
@pytest.mark.usefixtures("context")
def test_open_connections_stay_in_use() -> None:
    assert read() == 1
    database_breaker().trip()
    assert read() == 1


# Refusals


@pytest.fixture
def stranger(postgresql: PostgreSQL) -> Iterator[str]:
    """A role that no connection is left for."""
    name = f"stranger_{uuid4().hex}"
    postgresql.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0")
    yield name
    postgresql.execute(f"DROP ROLE {name}")


@on_postgresql
@pytest.mark.parametrize("wrong", ["database", "username", "connection limit"])
def test_a_server_that_refuses_is_there(
    wrong: str, database_url: str, stranger: str, tmp_path: Path
) -> None:
    url = make_url(database_url)
    if wrong == "connection limit":
        url = url.set(username=stranger)
    else:
        url = url.set(**{wrong: "no_such_value"})  # type: ignore[arg-type]
    app = create_app(make_settings(url.render_as_string(hide_password=False), tmp_path))
    with app.app_context():
        for _ in range(BREAKER_FAILURES + 1):
            assert "FATAL" in str(failure())
        assert database_breaker().state == "closed"
        db.engine.dispose()


PREFIX = 'connection to server at "db.example.com" (192.0.2.1), port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Connection refused\n\tIs the server running on that host?\n", True),
        ("timeout expired\n", True),
        ("server closed the connection unexpectedly\n", True),
        ("FATAL:  the database system is starting up\n", True),
        ("FATAL:  the database system is shutting down\n", True),
        ("FATAL:  the database system is not yet accepting connections\n", True),
        ("FATAL:  the database system is in recovery mode\n", True),
        ('FATAL:  password authentication failed for user "authserve"\n', False),
        ("FATAL:  sorry, too many clients already\n", False),
        ("FATAL:  remaining connection slots are reserved for roles with SUPERUSER\n", False),
    ],
)
def test_what_counts_as_an_outage(said: str, expected: bool) -> None:
    assert is_outage(psycopg2.OperationalError(PREFIX + said)) is expected


def test_an_unknown_host_is_an_outage_and_a_wrong_option_is_none() -> None:
    unknown = 'could not translate host name "db.invalid" to address: Name not known\n'
    assert is_outage(psycopg2.OperationalError(unknown))
    assert not is_outage(psycopg2.ProgrammingError('invalid connection option "x"'))


@on_sqlite
@pytest.mark.usefixtures("context")
def test_sqlite_is_never_away(make_app: Callable[..., Flask]) -> None:
    assert "database" not in [breaker.name for breaker in BREAKERS.get()]
