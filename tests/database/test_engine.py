"""The statements that reach the database, and the limits on waiting for it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, event, insert, make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.core.clock import now
from authserve.database.engine import LOCK_TIMEOUT_MS, engine_options
from authserve.database.transactions import db, read_all, reading, transaction
from authserve.rbac.models import Role
from tests.support.marks import both_databases, on_postgresql, on_sqlite

pytestmark = both_databases

ROLE_NAMES = select(Role.name).order_by(Role.name)


def write(name: str) -> None:
    row = {"name": name, "created_at": now(), "updated_at": now()}
    with transaction() as session:
        session.execute(insert(Role), row)


def role_names() -> list[str]:
    return [row.name for row in read_all(ROLE_NAMES)]


# The pool


@pytest.mark.usefixtures("context")
def test_the_pool_has_no_overflow(database_url: str) -> None:
    options = engine_options(database_url, pool_size=2) | {"pool_timeout": 0.01}
    engine = create_engine(database_url, **options)
    with engine.connect(), engine.connect(), pytest.raises(PoolTimeoutError):
        engine.connect()
    engine.dispose()


@on_sqlite
@pytest.mark.usefixtures("context")
def test_the_connection_that_was_returned_last_is_used_next() -> None:
    with db.engine.connect() as first:
        with db.engine.connect():
            pass
        driver = first.connection.dbapi_connection
    with db.engine.connect() as connection:
        assert connection.connection.dbapi_connection is driver


@pytest.mark.parametrize("url", ["sqlite:///file.db", "postgresql+psycopg2://host/name"])
def test_no_caller_waits_long_for_a_connection(url: str) -> None:
    options = engine_options(url, pool_size=8)
    assert options["pool_timeout"] == 2
    assert options["pool_size"] == 8
    assert options["connect_args"].get("connect_timeout", 3) == 3


# PostgreSQL


@on_postgresql
@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("connect", [reading, transaction])
def test_postgresql_has_the_limits_of_the_design(connect: Callable[[], Any]) -> None:
    expected = {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "TimeZone": "UTC",
        "application_name": "authserve",
    }
    with connect() as connection:
        assert {name: connection.scalar(text(f"SHOW {name}")) for name in expected} == expected


@on_postgresql
@pytest.mark.usefixtures("context")
def test_a_reading_connection_of_postgresql_leaves_no_mark_on_the_next_user() -> None:
    with reading() as connection:
        connection.execute(ROLE_NAMES)
        driver: Any = connection.connection.dbapi_connection
        assert driver.autocommit
    with transaction() as session:
        assert session.connection().connection.dbapi_connection is driver
        assert not driver.autocommit


# SQLite


@pytest.fixture
def traced(context: None) -> Iterator[list[str]]:
    """Every statement that SQLite runs for the application, in order."""
    statements: list[str] = []

    def trace(dbapi_connection: sqlite3.Connection, _record: Any) -> None:
        dbapi_connection.set_trace_callback(statements.append)

    role_names()  # SQLAlchemy asks a few things on its first connection.
    db.engine.dispose()
    event.listen(db.engine, "connect", trace)
    role_names()
    statements.clear()
    yield statements
    event.remove(db.engine, "connect", trace)


def sent(statement: Any) -> str:
    return str(statement.compile(db.engine))


@on_sqlite
def test_a_read_is_one_statement_and_nothing_else(traced: list[str]) -> None:
    read_all(ROLE_NAMES)
    read_all(ROLE_NAMES)
    assert traced == [sent(ROLE_NAMES)] * 2


@on_sqlite
def test_a_write_takes_the_lock_first_and_commits(traced: list[str]) -> None:
    write("a")
    assert traced[0] == "BEGIN IMMEDIATE"
    assert traced[1].startswith("INSERT INTO roles")
    assert traced[2:] == ["COMMIT"]


@on_sqlite
def test_a_transaction_that_only_reads_takes_the_lock_too(traced: list[str]) -> None:
    with transaction() as session:
        session.execute(ROLE_NAMES)
    assert traced == ["BEGIN IMMEDIATE", sent(ROLE_NAMES), "COMMIT"]


@on_sqlite
def test_a_transaction_that_does_nothing_sends_nothing(traced: list[str]) -> None:
    with transaction():
        pass
    assert traced == []


@on_sqlite
def test_a_transaction_that_fails_rolls_back(traced: list[str]) -> None:
    with suppress(LookupError), transaction() as session:
        session.execute(ROLE_NAMES)
        raise LookupError
    assert traced == ["BEGIN IMMEDIATE", sent(ROLE_NAMES), "ROLLBACK"]


@on_sqlite
def test_after_a_read_a_transaction_on_the_same_connection_takes_the_lock(
    traced: list[str],
) -> None:
    # Also for code that sets SQLAlchemy's own option AUTOCOMMIT.
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(ROLE_NAMES)
    read_all(ROLE_NAMES)
    write("a")
    assert [line for line in traced if not line.startswith("INSERT")] == [
        *[sent(ROLE_NAMES)] * 2,
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]


@pytest.fixture
def other_connection(database_url: str) -> Iterator[sqlite3.Connection]:
    """Another program at the same SQLite file; it waits for no lock."""
    path = make_url(database_url).database
    assert path is not None
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    yield connection
    connection.close()


INSERT_OTHER = "INSERT INTO roles (name, created_at, updated_at) VALUES ('other', '', '')"


@on_sqlite
@pytest.mark.usefixtures("context")
def test_a_read_continues_while_another_connection_holds_the_lock(
    other_connection: sqlite3.Connection,
) -> None:
    other_connection.execute("BEGIN IMMEDIATE")
    other_connection.execute(INSERT_OTHER)
    assert role_names() == ["admin", "user"]
    other_connection.execute("COMMIT")
    assert role_names() == ["admin", "other", "user"]


@on_sqlite
@pytest.mark.usefixtures("context")
def test_a_reading_connection_blocks_no_writer(
    other_connection: sqlite3.Connection,
) -> None:
    with reading() as connection:
        assert connection.scalars(ROLE_NAMES).all() == ["admin", "user"]
        other_connection.execute(INSERT_OTHER)
        assert connection.scalars(ROLE_NAMES).all() == ["admin", "other", "user"]


@on_sqlite
def test_a_writer_without_the_lock_in_time_is_refused_and_can_try_again(
    make_app: Callable[..., Flask], other_connection: sqlite3.Connection
) -> None:
    with make_app(database_pool_size=1).app_context():
        with reading() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        other_connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            write("a")
        other_connection.execute("ROLLBACK")
        write("a")
        assert role_names() == ["a", "admin", "user"]


@on_sqlite
@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("connect", [reading, transaction])
def test_sqlite_is_set_up_for_a_service(connect: Callable[[], Any]) -> None:
    expected = {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": LOCK_TIMEOUT_MS,
        # FULL: a commit that was acknowledged survives a loss of power.
        "synchronous": 2,
    }
    with connect() as connection:
        assert {name: connection.scalar(text(f"PRAGMA {name}")) for name in expected} == expected
