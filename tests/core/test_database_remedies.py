"""Remedies for each kind of error of the database."""

import sqlite3
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from authserve.core.database_remedies import (
    CHECK_DISK,
    CONNECT,
    FREE_CONNECTIONS,
    MAKE_ROOM,
    MIGRATE,
    POOLER,
    REPAIR,
    RETRY,
    SIGN_IN,
    WRITABLE,
    find_remedy,
)
from authserve.database.transactions import transaction
from tests.conftest import PostgreSQL, libpq_url
from tests.support.marks import both_databases


def refuse(url: str) -> psycopg2.OperationalError:
    """Return the error of a connection that is refused."""
    with pytest.raises(psycopg2.OperationalError) as caught:
        psycopg2.connect(url)
    return caught.value


def test_a_server_that_is_away_is_named() -> None:
    assert find_remedy(refuse("postgresql://a@127.0.0.1:1/a")) == CONNECT
    assert find_remedy(None) == CONNECT


def test_a_missing_database_and_role_are_told_apart(postgresql: PostgreSQL) -> None:
    missing = postgresql.url("no_such_database")
    assert "Create the database" in find_remedy(refuse(libpq_url(missing)))
    stranger = make_url(missing).set(username="no_such_role")
    url = stranger.render_as_string(hide_password=False)
    assert find_remedy(refuse(libpq_url(url))) == SIGN_IN


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("FATAL:  sorry, too many clients already", FREE_CONNECTIONS),
        ("FATAL:  remaining connection slots are reserved for roles", FREE_CONNECTIONS),
        ('FATAL:  password authentication failed for user "a"', SIGN_IN),
        ("FATAL:  unsupported startup parameter: options", POOLER),
        ("could not write init file: No space left on device", MAKE_ROOM),
    ],
)
def test_errors_of_connecting_have_their_remedies(reason: str, remedy: str) -> None:
    assert find_remedy(psycopg2.OperationalError(reason)) == remedy


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("SQLITE_FULL", MAKE_ROOM),
        ("SQLITE_IOERR_SHMSIZE", CHECK_DISK),
        ("SQLITE_READONLY_DIRECTORY", WRITABLE),
        ("SQLITE_BUSY_SNAPSHOT", RETRY),
        ("SQLITE_CORRUPT", REPAIR),
    ],
)
def test_codes_of_sqlite_have_their_remedies(name: str, remedy: str) -> None:
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorcode = getattr(sqlite3, name)
    assert find_remedy(error) == remedy


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("no database, " * 100)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        sqlite3.connect(tmp_path / "no.db").execute("SELECT 1 FROM sqlite_master")
    assert find_remedy(caught.value) == REPAIR


@both_databases
@pytest.mark.usefixtures("context")
def test_a_missing_table_asks_for_the_migrations() -> None:
    with pytest.raises(DBAPIError) as caught, transaction() as session:
        session.execute(text("SELECT 1 FROM tables_of_the_next_release"))
    assert find_remedy(caught.value.orig) == MIGRATE
