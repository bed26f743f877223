"""The name of the constraint that a write violated."""

from typing import cast

from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.exc import IntegrityError

from authserve.database.statements import Base


def violated_constraint(error: IntegrityError) -> str | None:
    """Return the name of the unique constraint or primary key that a write violated.

    PostgreSQL reports the name, SQLite the columns, from which the name is found. Callers must
    not depend on names of other constraints, since SQLite does not report those.

    Returns:
        The same name on both databases; None if none is found.
    """
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None:
        return cast("str | None", diagnostics.constraint_name)
    # For example "UNIQUE constraint failed: users.email", with ", " between several columns.
    _, _, listed = str(error.orig).partition("UNIQUE constraint failed: ")
    table_name, _, _ = listed.partition(".")
    table = Base.metadata.tables.get(table_name)
    return None if table is None else _find_unique_name(table, set(listed.split(", ")))


def _find_unique_name(table: Table, columns: set[str]) -> str | None:
    unique: list[PrimaryKeyConstraint | UniqueConstraint | Index] = [table.primary_key]
    unique += [found for found in table.constraints if isinstance(found, UniqueConstraint)]
    unique += [index for index in table.indexes if index.unique]
    names = (found.name for found in unique if set(map(str, found.columns)) == columns)
    return next((str(name) for name in names), None)
