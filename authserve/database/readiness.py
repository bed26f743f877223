"""The checks of readiness: the schema is at this release, and writes are accepted.

Every web worker runs them. Alembic is not used here: loading it would cost 35 ms of each start
(measured).
"""

from functools import cache
from pathlib import Path

from sqlalchemy import column, false, inspect, select, table, update
from sqlalchemy.exc import DBAPIError

from authserve.database.refusals import is_locked
from authserve.database.statements import Base
from authserve.database.transactions import reading

MIGRATIONS_FOLDER = Path(__file__).resolve().parents[2] / "migrations"

_VERSION_TABLE = table("alembic_version", column("version_num"))
"""Alembic's own table, with its default name; it has one row or none."""


@cache
def expected_revision() -> str:
    """Return the newest migration of this release."""
    return max(_known_revisions())


@cache
def _known_revisions() -> frozenset[str]:
    """Return every migration of this release: the numbers at the start of the file names."""
    paths = (MIGRATIONS_FOLDER / "versions").glob("*.py")
    return frozenset(path.stem.partition("_")[0] for path in paths)


def current_revision() -> str | None:
    """Return the database's migration; None for an empty database."""
    with reading() as connection:
        if not inspect(connection).has_table(_VERSION_TABLE.name):
            return None
        revision: str | None = connection.scalar(select(_VERSION_TABLE))
    return revision


def is_migrated() -> bool:
    """Return True if the database has all that this release needs.

    A database that a newer release migrated counts too: migrations drop nothing that this release
    needs, so two releases can run side by side, and the newer one can be rolled back.
    """
    current = current_revision()
    return current == expected_revision() or is_of_newer_release(current)


def is_of_newer_release(revision: str | None) -> bool:
    """Return True if the database has a revision, and this release does not know it."""
    return revision is not None and revision not in _known_revisions()


def probe_writing() -> None:
    """Send an UPDATE of no row, which both databases refuse if they would refuse a write.

    Nothing is written, not even to the transaction log. On SQLite it takes the write lock for an
    instant; a file that another writer has locked counts as writable.

    Raises:
        SQLAlchemyError: the database is read-only, the role lacks the privilege, or it is away.
    """
    sessions = Base.metadata.tables["sessions"]
    statement = update(sessions).where(false()).values(generation=sessions.c.generation)
    try:
        with reading() as connection:
            connection.execute(statement)
    except DBAPIError as error:
        if not is_locked(error.orig):
            raise
