"""Checks of the database: privileges, writes, timeouts and file modes."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from authserve.database.readiness import probe_writing
from authserve.database.refusals import is_read_only
from authserve.database.transactions import Base, db, reading
from authserve.health.finding import Finding, Level
from authserve.settings.database_url import POOLER

OTHERS = stat.S_IRWXG | stat.S_IRWXO


_LACKING = text(
    """
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
               AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))
    ORDER BY name
    """
)


def writes() -> Finding:
    """Check that the database accepts writes from this service's role."""
    name = "writes"
    if lacking := _find_tables_without_privileges():
        message = (
            f"The role lacks a privilege on {', '.join(lacking)}: grant it SELECT, INSERT, UPDATE "
            "and DELETE on every table."
        )
        return Finding(name, Level.FAILURE, message)
    try:
        probe_writing()
    except DBAPIError as error:
        return Finding(name, Level.FAILURE, _explain(error))
    return Finding(name, Level.OK, "The database takes writes.")


def timeouts(url: URL) -> Iterator[Finding]:
    """Warn if a PostgreSQL timeout is off: a pooler may drop the settings of a session."""
    if url.get_backend_name() != "postgresql":
        return
    with reading() as connection:
        lacking = [name for name in _TIMEOUTS if _is_off(connection, name)]
    if not lacking:
        yield Finding("timeouts", Level.OK, "The server's timeouts are in force.")
        return
    message = f"{', '.join(lacking)} is off: add {POOLER}=true to DATABASE_URL if a pooler is used."
    yield Finding("timeouts", Level.WARNING, message)


_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def _is_off(connection: Connection, name: str) -> bool:
    return connection.scalar(select(func.current_setting(name))) == "0"


POOLER_REFUSAL = re.compile("unsupported startup parameter")
"""PgBouncer's error for a client that changes a setting of its session."""


def explain_connect_error(reason: str) -> str:
    """Return the remedy for a connection error."""
    if POOLER_REFUSAL.search(reason):
        return f"A pooler refuses settings of a session: add {POOLER}=true to DATABASE_URL."
    return "Look at DATABASE_URL and at the server."


def file_modes() -> Iterator[Finding]:
    """Warn of a SQLite file that other users of this machine may open."""
    path = Path(db.engine.url.database or "")
    if db.engine.dialect.name != "sqlite" or not path.stat().st_mode & OTHERS:
        return
    message = f"Other users of this machine may open {path}: run `chmod 600 {path}*`."
    yield Finding("database file", Level.WARNING, message)


def _explain(error: DBAPIError) -> str:
    if is_read_only(error.orig):
        return (
            "The database is read-only, so only what reads is served. Point DATABASE_URL at the "
            "primary server, or let the service write the file of SQLite and its folder."
        )
    reason = str(error.orig).strip().partition("\n")[0]
    return f"The database takes no writes ({reason}). Look at the server."


def _find_tables_without_privileges() -> list[str]:
    if db.engine.dialect.name != "postgresql":
        return []
    names = sorted(table.name for table in Base.metadata.tables.values())
    with reading() as connection:
        return list(connection.scalars(_LACKING, {"names": names}))
