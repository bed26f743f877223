"""Checks of what the database lets the service do."""

import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from authserve.core.database_refusals import is_read_only
from authserve.core.db import Base, db, reading
from authserve.core.write_probe import probe_writing
from authserve.doctor.service.finding import Finding, Level

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
    """Check that the database takes writes from this service's role."""
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


def file_modes() -> Iterator[Finding]:
    """Warn of a SQLite file that other users of this machine may read."""
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
