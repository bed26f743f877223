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
    return _scripts().get_current_head()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS_FOLDER))


def current_revision() -> str | None:
    """The migration that the database is at; None for an empty database."""
    with reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_migrated() -> bool:
    """Whether the database has all that this release needs.

    One that a newer release has migrated has it too: migrations only add, so that two releases
    can serve side by side and the newer one can be rolled back.
    """
    current = current_revision()
    return current == expected_revision() or is_of_newer_release(current)


def is_of_newer_release(revision: str | None) -> bool:
    """Whether a database's revision is none that this release knows."""
    return revision is not None and revision not in _known_revisions()


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in _scripts().walk_revisions())
