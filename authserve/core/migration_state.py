"""Whether the database has the tables that this release expects."""

from functools import cache
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from authserve.core.db import reading

MIGRATIONS_FOLDER = Path(__file__).resolve().parents[2] / "migrations"


@cache
def expected_revision() -> str | None:
    """The newest migration that this release brings."""
    return ScriptDirectory(str(MIGRATIONS_FOLDER)).get_current_head()


def current_revision() -> str | None:
    """The migration that the database is at; None for an empty database."""
    with reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_migrated() -> bool:
    """Whether `flask db upgrade` has nothing left to do."""
    return current_revision() == expected_revision()
