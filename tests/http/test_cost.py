"""The cost of the most frequent call: one statement, and a bounded amount of Python."""

import cProfile
import logging
import pstats
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, make_url
from sqlalchemy.engine import Engine
from werkzeug.test import EnvironBuilder

from authserve.core.levels import Level
from authserve.core.logs import LineHandler
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.marks import both_databases, on_sqlite
from tests.support.rows import change_session, change_user

pytestmark = both_databases

ME = "/api/v1/users/me"
REFRESH = "/api/v1/auth/refresh"
REGISTER = "/api/v1/auth/register"

MAX_CALLS = 2_200
"""The promise for GET /users/me, counted as `cProfile` does: calls of functions, C's included."""

Recorder = Callable[[], Any]


@contextmanager
def statements_of_sqlite() -> Iterator[list[str]]:
    """Every statement that SQLite itself runs, BEGIN and ROLLBACK included."""
    heard: list[str] = []

    def trace(connection: sqlite3.Connection, *_told: object) -> None:
        connection.set_trace_callback(heard.append)

    event.listen(Engine, "checkout", trace)
    try:
        yield heard
    finally:
        event.remove(Engine, "checkout", trace)


@contextmanager
def statements_of_postgresql(postgresql: Any) -> Iterator[list[str]]:
    """Every statement that the server logs; it does so before it runs one."""
    log = postgresql.server.log
    heard: list[str] = []
    start = log.stat().st_size
    yield heard
    lines = log.read_bytes()[start:].decode().splitlines()
    heard += [line.partition("LOG:  statement: ")[2] for line in lines if "statement: " in line]


@pytest.fixture
def statements(database_url: str, request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Record, at the database, the statements of the block."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        return statements_of_sqlite
    postgresql = request.getfixturevalue("postgresql")
    postgresql.execute(f"ALTER DATABASE \"{url.database}\" SET log_statement = 'all'")
    return lambda: statements_of_postgresql(postgresql)


def bring_to(app: Flask, caller: Caller, level: Level) -> None:
    """Let the caller's account need a level, and give it to the session."""
    change_user(app, caller.id, mfa_enabled=level > Level.AAL1)
    change_session(app, caller.session_id, aal=level)


@pytest.mark.parametrize("level", [Level.AAL1, Level.AAL2])
def test_the_token_check_is_one_statement_and_no_transaction(
    statements: Callable[[], Any], app: Flask, level: Level
) -> None:
    alice = register_caller(app, "alice")
    bring_to(app, alice, level)
    assert alice.get(ME).status_code == 200
    with statements() as heard:
        assert alice.get(ME).status_code == 200
    assert len(heard) == 1, heard
    # PostgreSQL has planned the SELECT before, and knows it by name.
    assert heard[0].lstrip().startswith(("SELECT", "EXECUTE token_check"))


@pytest.mark.parametrize("level", [Level.AAL1, Level.AAL2])
def test_a_refresh_is_one_statement_and_no_transaction(
    statements: Callable[[], Any], app: Flask, level: Level
) -> None:
    """The UPDATE that moves the session commits with itself, and returns all data of the tokens."""
    alice = register_caller(app, "alice")
    bring_to(app, alice, level)
    first = alice.client.post(REFRESH, json={"refresh_token": alice.tokens["refresh_token"]})
    successor = {"refresh_token": first.get_json()["refresh_token"]}
    change_session(app, alice.session_id, rotated_at=None)
    with statements() as heard:
        assert alice.client.post(REFRESH, json=successor).status_code == 200
    assert len(heard) == 1, heard
    assert heard[0].lstrip().startswith(("UPDATE sessions", "EXECUTE session_rotation"))


def test_a_sign_in_sends_what_it_needs(statements: Callable[[], Any], app: Flask) -> None:
    """Without a recent wrong password and without a surplus session."""
    alice = register_caller(app, "alice")
    login(alice.client, "alice")
    with statements() as heard:
        assert login(alice.client, "alice").status_code == 200
    verbs = verbs_of(heard)
    if verbs[0] == "EXECUTE":  # PostgreSQL has planned all at the sign-in before.
        assert verbs == ["EXECUTE"] * 2 + ["BEGIN"] + ["EXECUTE"] * 5 + ["COMMIT"]
    else:
        # The last INSERT records the device.
        assert verbs == ["SELECT"] * 2 + ["BEGIN", "UPDATE"] + ["INSERT"] * 4 + ["COMMIT"]


def test_a_registration_sends_what_it_needs(statements: Callable[[], Any], app: Flask) -> None:
    """With a mail that verifies the address."""
    client = app.test_client()
    first, second = (
        {"email": f"{name}@example.com", "password": PASSWORD} for name in ("alice", "bob")
    )
    client.post(REGISTER, json=first)
    with statements() as heard:
        assert client.post(REGISTER, json=second).status_code == 201
    verbs = verbs_of(heard)
    if verbs[0] == "EXECUTE":  # PostgreSQL has planned all at the registration before.
        assert verbs == ["EXECUTE", "BEGIN"] + ["EXECUTE"] * 7 + ["COMMIT"]
    else:
        # Account, role, event; then the mail, which supersedes older ones and their links.
        writes = ["INSERT"] * 4 + ["UPDATE", "INSERT", "UPDATE"]
        assert verbs == ["SELECT", "BEGIN", *writes, "COMMIT"]


def verbs_of(heard: list[str]) -> list[str]:
    """Return the first words of the statements."""
    # SQLite reports a statement once more for each trigger, and the triggers' work in comments.
    return [text.split()[0] for text in dict.fromkeys(heard) if not text.startswith("--")]


def test_the_recorder_sees_a_write_with_its_transaction(
    statements: Callable[[], Any], app: Flask
) -> None:
    """Without this, the test above could not fail."""
    alice = register_caller(app, "alice")
    with statements() as heard:
        assert alice.patch(ME, json={"display_name": "Alice"}).status_code == 200
    verbs = [statement.split()[0] for statement in heard]
    assert {"BEGIN", "UPDATE", "COMMIT"} <= set(verbs)


def count_calls(run: Callable[[], Any]) -> int:
    """Count the calls of functions, Python's and C's."""
    profile = cProfile.Profile()
    profile.runcall(run)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@on_sqlite
def test_reading_the_own_account_costs_few_calls(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(ratelimit_enabled=True)
    alice = register_caller(app, "alice")
    # pytest's own handlers would be counted, too.
    root = logging.getLogger()
    own = [handler for handler in root.handlers if isinstance(handler, LineHandler)]
    monkeypatch.setattr(root, "handlers", own)
    headers = {"Authorization": f"Bearer {alice.tokens['access_token']}"}

    def environ() -> dict[str, Any]:
        return EnvironBuilder(path=ME, headers=headers).get_environ()

    def call(environ: dict[str, Any]) -> None:
        # As a server does it; Werkzeug's own way of running an application would be counted.
        body = app.wsgi_app(environ, lambda status, _headers, _error=None: statuses.append(status))
        b"".join(body)

    statuses: list[str] = []
    for _ in range(5):
        call(environ())
    prepared = environ()
    assert count_calls(lambda: call(prepared)) <= MAX_CALLS
    assert statuses == ["200 OK"] * 6
