"""What PostgreSQL's planner knows of the rows by its statistics, SQLite has to be told."""

from typing import Any

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, select
from sqlalchemy.sql.operators import custom_op

from authserve.database.transactions import db, read_all

COMMON = 1_000
"""Rows that are alike from which on reading all in the order of a list finds a page sooner than
finding and sorting those (chosen: either takes some 50 ms at a million rows)."""


def is_common_on_sqlite(alike: Select[Any]) -> bool:
    """Whether SQLite should not look rows up by what they have in common; PostgreSQL can tell.

    It would find and sort every one of them, for each page of a list; a condition on what is
    `unindexed` keeps it from that.
    """
    if db.engine.dialect.name != "sqlite":
        return False
    some = alike.limit(COMMON).subquery()
    return bool(read_all(select(func.count() == COMMON).select_from(some))[0][0])


def unindexed_on_sqlite(column: Any) -> ColumnElement[Any]:
    """Return a column that SQLite uses no index for; PostgreSQL chooses by its statistics."""
    is_sqlite = db.engine.dialect.name == "sqlite"
    return unindexed(column) if is_sqlite else column


def unindexed(column: Any) -> ColumnElement[Any]:
    """A column that SQLite uses no index for: with a plus in front, which changes nothing else.

    That is its own word for it (sqlite.org/optoverview.html, on the unary plus); an expression
    that is computed, such as a text with nothing appended, makes reading half as fast (measured).
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)
