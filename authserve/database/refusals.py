"""Errors by which the database refuses to serve, as opposed to faults in a statement of ours.

A refusal is answered with 503: the same request succeeds once the database is in order again.
"""

import re
import sqlite3

import psycopg2
from sqlalchemy.exc import DBAPIError

READ_ONLY_SQLSTATE = "25006"
"""`read_only_sql_transaction`: the server is a standby, or became one (PostgreSQL, appendix A)."""

REFUSAL_SQLSTATES = (
    "08",  # the connection, or a pooler
    "28",  # authentication
    READ_ONLY_SQLSTATE,
    "25P03",  # idle in a transaction for too long
    "25P04",  # a transaction that took too long
    "3D",  # no such database
    "3F",  # no such schema
    "40",  # a deadlock or a serialization failure
    "42501",  # no privilege
    "42P01",  # no such table, and the next four: not migrated
    "42703",
    "42704",
    "42883",
    "42P10",
    "53",  # no memory, disk or connection left
    "55",  # a lock that was not available, among others
    "57",  # shutting down, starting up, or a cancelled statement
    "58",  # the server's system: I/O errors
    "F0",  # its configuration files
    "XX",  # its own data or code
)
"""SQLSTATEs, and classes of them (two characters), of PostgreSQL's refusals (appendix A)."""

TIMEOUT_SQLSTATES = frozenset({"57014", "55P03"})
"""SQLSTATEs of `statement_timeout` (query_canceled) and `lock_timeout` (lock_not_available)."""

LOST_PLAN_SQLSTATES = frozenset({"26000", "42P05", "0A000"})
"""SQLSTATEs of a prepared statement: it does not exist, it exists already, or a migration changed
its columns' types."""

REFUSAL_SQLITE_CODES = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_ABORT,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Primary result codes of SQLite's refusals (sqlite.org/rescode.html)."""

_NOT_MIGRATED = re.compile(r"no such (table|column|index)|has no column named|ON CONFLICT clause")
"""Messages of a database that is not migrated: SQLite has one code, 1, for these and for faults in
a statement."""


def is_refusal(error: DBAPIError) -> bool:
    """Return True if the database cannot serve the statement now; False if the statement is wrong.

    A lost connection and a driver's error without a SQLSTATE count as refusals: no statement of
    ours causes either.
    """
    if error.connection_invalidated:
        return True
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _is_sqlite_refusal(cause)
    sqlstate = getattr(cause, "pgcode", None)
    if sqlstate is None:
        return isinstance(cause, psycopg2.OperationalError) or type(cause) is psycopg2.DatabaseError
    return str(sqlstate).startswith(REFUSAL_SQLSTATES)


def is_read_only(error: BaseException | None) -> bool:
    """Return True if a driver's error means that the database is read-only."""
    if isinstance(error, sqlite3.Error):
        return _primary_code(error) == sqlite3.SQLITE_READONLY
    return getattr(error, "pgcode", None) == READ_ONLY_SQLSTATE


def is_plan_lost(error: BaseException | None) -> bool:
    """Return True if the connection cannot execute a prepared statement that it should have."""
    return getattr(error, "pgcode", None) in LOST_PLAN_SQLSTATES


def is_timeout(error: BaseException | None) -> bool:
    """Return True if a driver's error ended a wait for a lock, or too long a statement."""
    return is_locked(error) or getattr(error, "pgcode", None) in TIMEOUT_SQLSTATES


def is_locked(error: BaseException | None) -> bool:
    """Return True if another connection held the lock of a SQLite file for too long."""
    return isinstance(error, sqlite3.Error) and _primary_code(error) == sqlite3.SQLITE_BUSY


def _is_sqlite_refusal(error: sqlite3.Error) -> bool:
    code = _primary_code(error)
    if code == sqlite3.SQLITE_ERROR:
        return _NOT_MIGRATED.search(str(error)) is not None
    return code in REFUSAL_SQLITE_CODES


def _primary_code(error: sqlite3.Error) -> int:
    # Errors that the driver itself raises have no code: they are faults of ours.
    return getattr(error, "sqlite_errorcode", -1) & 0xFF
