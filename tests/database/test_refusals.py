"""Errors of the databases that are refusals, and the end of a read-only connection."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import insert, make_url, text
from sqlalchemy.exc import DBAPIError

from authserve.app import create_app
from authserve.core.clock import now
from authserve.database import engine as engine_module
from authserve.database.circuit import DatabaseAwayError
from authserve.database.readiness import probe_writing
from authserve.database.refusals import is_refusal
from authserve.database.transactions import db, reading, transaction
from authserve.database.watchdog import ServerFrozenError
from authserve.rbac.models import Role
from tests.conftest import PostgreSQL, make_settings
from tests.support.marks import both_databases, on_postgresql, on_sqlite

pytestmark = both_databases


def write() -> None:
    row = {"name": f"r{uuid4().hex}", "created_at": now(), "updated_at": now()}
    with transaction() as session:
        session.execute(insert(Role), row)


def failure(action: Callable[[], object]) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught:
        action()
    return caught.value


def send(statement: str) -> Callable[[], object]:
    def run() -> None:
        with reading() as connection:
            connection.execute(text(statement))

    return run


# Faults and refusals


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT * FROM no_such_table", True),
        ("SELECT no_such_column FROM roles", True),
        ("SELEC 1", False),
        ("INSERT INTO user_roles (user_id) VALUES (NULL)", False),
    ],
)
def test_a_missing_table_is_a_refusal_and_a_wrong_statement_is_none(
    statement: str, expected: bool
) -> None:
    assert is_refusal(failure(send(statement))) is expected


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("25006", True),  # read-only
        ("42501", True),  # no privilege
        ("53100", True),  # disk full
        ("53300", True),  # too many connections
        ("55P03", True),  # locked
        ("40P01", True),  # deadlock
        ("57P03", True),  # starting up
        ("57P01", True),  # shutting down
        ("58030", True),  # I/O error
        ("XX001", True),  # corrupted
        ("3F000", True),  # no such schema
        ("08P01", True),  # a pooler's refusal
        ("23505", False),  # unique violation
        ("22003", False),  # out of range
        ("25P02", False),  # a failed transaction
        ("42601", False),  # syntax
    ],
)
def test_postgresql_refuses_by_sqlstate(sqlstate: str, expected: bool) -> None:
    cause = type("Cause", (Exception,), {"pgcode": sqlstate})()
    assert is_refusal(DBAPIError("SELECT 1", {}, cause)) is expected


def test_an_error_of_the_driver_without_a_sqlstate_is_a_refusal() -> None:
    for cause in (
        psycopg2.OperationalError("timeout"),
        psycopg2.DatabaseError("no message"),
        DatabaseAwayError("not asked"),
        ServerFrozenError("does not answer"),
    ):
        assert is_refusal(DBAPIError("SELECT 1", {}, cause))
    assert not is_refusal(DBAPIError("SELECT 1", {}, psycopg2.ProgrammingError("no results")))


def test_a_file_that_is_no_database_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at " * 10)
    connection = sqlite3.connect(tmp_path / "text.db")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute("SELECT * FROM roles")
    connection.close()
    assert is_refusal(DBAPIError("SELECT", {}, caught.value))


# Read-only connections


def set_read_only(is_on: bool) -> None:
    """Make the pooled connection, or the whole database of PostgreSQL, read-only."""
    with reading() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA query_only = {int(is_on)}")
        else:
            connection.exec_driver_sql(f"SET default_transaction_read_only = {is_on}")


@pytest.fixture
def one_connection(make_app: Callable[..., Flask]) -> Any:
    with make_app(database_pool_size=1).app_context():
        yield


@pytest.mark.usefixtures("one_connection")
def test_a_read_only_connection_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "READ_ONLY_REST_SECS", 0)
    set_read_only(True)
    error = failure(write)
    assert is_refusal(error)
    assert error.connection_invalidated
    write()


@pytest.mark.usefixtures("one_connection")
def test_a_server_that_stays_read_only_is_not_connected_to_at_each_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "READ_ONLY_REST_SECS", 600)
    set_read_only(True)
    for _ in range(3):
        error = failure(write)
        assert is_refusal(error)
        assert not error.connection_invalidated
    set_read_only(False)
    write()


@pytest.mark.usefixtures("context")
def test_the_probe_of_writing_changes_nothing_and_finds_a_read_only_database() -> None:
    probe_writing()
    db.engine.dispose()
    with reading() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = 1")
        else:
            connection.exec_driver_sql("SET default_transaction_read_only = on")
    assert is_refusal(failure(probe_writing))


@on_sqlite
@pytest.mark.usefixtures("one_connection")
def test_a_file_that_another_writer_has_locked_still_takes_writes(database_url: str) -> None:
    with reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    probe_writing()
    other.close()


@on_postgresql
def test_the_probe_finds_a_role_without_privileges(reader_app: Flask) -> None:
    with reader_app.app_context():
        assert failure(probe_writing).orig.pgcode == "42501"  # type: ignore[union-attr]


@pytest.fixture
def reader_app(postgresql: PostgreSQL, database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An application whose role may read everything and write nothing."""
    name = f"reader_{uuid4().hex}"
    postgresql.execute(f"CREATE ROLE {name} LOGIN IN ROLE pg_read_all_data")
    url = make_url(database_url).set(username=name).render_as_string(hide_password=False)
    app = create_app(make_settings(url, tmp_path))
    yield app
    with app.app_context():
        db.engine.dispose()
    postgresql.execute(f"DROP ROLE {name}")
