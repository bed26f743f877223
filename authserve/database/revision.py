"""Whether the database has the tables that this release expects.

Every web worker asks, so it is answered without Alembic, which would be loaded for nothing else:
35 ms of a start (measured).
"""

from functools import cache
from pathlib import Path

from sqlalchemy import column, inspect, select, table

from authserve.database.transactions import reading

MIGRATIONS_FOLDER = Path(__file__).resolve().parents[2] / "migrations"

_VERSION_TABLE = table("alembic_version", column("version_num"))
"""Alembic's own, with its default name; it has one row, or none."""


@cache
def expected_revision() -> str:
    """The newest migration that this release brings."""
    return max(_known_revisions())


@cache
def _known_revisions() -> frozenset[str]:
    """Every migration of this release: they are numbered, and so are their files' names."""
    paths = (MIGRATIONS_FOLDER / "versions").glob("*.py")
    return frozenset(path.stem.partition("_")[0] for path in paths)


def current_revision() -> str | None:
    """The migration that the database is at; None for an empty database."""
    with reading() as connection:
        if not inspect(connection).has_table(_VERSION_TABLE.name):
            return None
        revision: str | None = connection.scalar(select(_VERSION_TABLE))
    return revision


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
