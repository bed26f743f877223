"""Hints for SQLite's planner, which lacks the statistics that PostgreSQL's planner has."""

from typing import Any

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, select
from sqlalchemy.sql.operators import custom_op

from authserve.database.transactions import db, read_all

COMMON = 1_000
"""From this many matches on, scanning in list order beats filter-and-sort (chosen: either takes
some 50 ms at a million rows)."""


def is_common_on_sqlite(alike: Select[Any]) -> bool:
    """Return True if SQLite should scan in list order, since `COMMON` or more rows match.

    By an index, SQLite would find and sort every match for each page of a list; a condition on an
    `unindexed` column prevents that. PostgreSQL decides by its statistics, so False is returned.

    Args:
        alike: selects the matching rows.
    """
    if db.engine.dialect.name != "sqlite":
        return False
    some = alike.limit(COMMON).subquery()
    return bool(read_all(select(func.count() == COMMON).select_from(some))[0][0])


def unindexed_on_sqlite(column: Any) -> ColumnElement[Any]:
    """Return `unindexed(column)` on SQLite, and `column` itself on PostgreSQL."""
    is_sqlite = db.engine.dialect.name == "sqlite"
    return unindexed(column) if is_sqlite else column


def for_partial_index_on_sqlite(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    """Return `likely(condition)` on SQLite, and `condition` itself on PostgreSQL.

    SQLite prefers another index that begins with the same column. `likely` hides the condition
    from that index, and the partial index with this condition still serves the statement.
    """
    is_sqlite = db.engine.dialect.name == "sqlite"
    return func.likely(condition) if is_sqlite else condition


def unindexed(column: Any) -> ColumnElement[Any]:
    """Return the column with a unary plus, so that SQLite uses no index for it.

    SQLite documents the plus for this purpose (sqlite.org/optoverview.html). A computed
    expression, such as the text with nothing appended, would make reading half as fast (measured).
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)
