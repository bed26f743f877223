"""Remedies for each kind of error of the database, for the operator.

Commands and `flask doctor` print it after the server's own reason.
"""

import re
import sqlite3

MIGRATE = "Run `flask db upgrade`."
MAKE_ROOM = "The database's disk is full: make room on it."
CHECK_DISK = "The database's disk is full or fails: make room on it, or replace it."
CONNECT = "Check DATABASE_URL, and that the server runs."
SIGN_IN = "Check user and password in DATABASE_URL, and the server's pg_hba.conf."
FREE_CONNECTIONS = (
    "The server has no free connection: lower DATABASE_POOL_SIZE or WEB_CONCURRENCY, raise "
    "max_connections, or end other programs."
)
WRITABLE = (
    "The database is read-only, so only what reads is served. Point DATABASE_URL at the primary "
    "server, or let the service write the file of SQLite and its folder."
)
GRANT = "Grant the role SELECT, INSERT, UPDATE and DELETE on every table."
RETRY = "Another process holds it, or the server is busy: try again."
REPAIR = "The file is damaged or no database: restore a backup, or correct DATABASE_URL."
POOLER = "A pooler refuses settings of a session: add pgbouncer=true to DATABASE_URL."

_BY_SQLSTATE = (
    ("25006", WRITABLE),
    ("3D000", "Create the database, or correct its name in DATABASE_URL."),
    ("42501", GRANT),
    ("42P01", MIGRATE),
    ("42703", MIGRATE),
    ("53100", MAKE_ROOM),
    ("53300", FREE_CONNECTIONS),
    ("55P03", RETRY),
    ("57014", RETRY),
)
"""By SQLSTATE (PostgreSQL, appendix A)."""

_BY_RESULT_CODE = {
    sqlite3.SQLITE_BUSY: RETRY,
    sqlite3.SQLITE_LOCKED: RETRY,
    sqlite3.SQLITE_READONLY: WRITABLE,
    sqlite3.SQLITE_IOERR: CHECK_DISK,
    sqlite3.SQLITE_CORRUPT: REPAIR,
    sqlite3.SQLITE_NOTADB: REPAIR,
    sqlite3.SQLITE_FULL: MAKE_ROOM,
    sqlite3.SQLITE_CANTOPEN: "Let the service read and write the file of SQLite and its folder.",
}
"""By SQLite's primary result code (sqlite.org/rescode.html)."""

_BY_TEXT = (
    (re.compile("unsupported startup parameter"), POOLER),
    (re.compile("too many clients|remaining connection slots|too many conn"), FREE_CONNECTIONS),
    (re.compile('database ".*" does not exist'), _BY_SQLSTATE[1][1]),
    (re.compile('authentication failed|role ".*" does not exist|pg_hba.conf'), SIGN_IN),
    (re.compile("No space left on device"), MAKE_ROOM),
    (re.compile("no such table|has no column named|no such column"), MIGRATE),
)
"""By the text of errors without a code: those of connecting, and of SQLite's tables."""


def find_remedy(error: BaseException | None) -> str:
    """Return a sentence that says what to do about a driver's error.

    Args:
        error: of psycopg2 or sqlite3; None for an error without one.
    """
    sqlstate = getattr(error, "pgcode", None)
    for code, remedy in _BY_SQLSTATE:
        if sqlstate == code:
            return remedy
    if isinstance(error, sqlite3.Error):
        primary_code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary_code in _BY_RESULT_CODE:
            return _BY_RESULT_CODE[primary_code]
    text = str(error)
    return next((remedy for pattern, remedy in _BY_TEXT if pattern.search(text)), CONNECT)
