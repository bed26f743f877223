"""What PostgreSQL's planner knows of the rows by its statistics, SQLite has to be told."""

from typing import Any

from sqlalchemy import Select, func, select

from authserve.core.db import db, read_all

COMMON = 1_000
"""Rows that are alike from which on reading all in the order of a list finds a page sooner than
finding and sorting those (chosen: either takes some 50 ms at a million rows)."""


def is_common_on_sqlite(alike: Select[Any]) -> bool:
    """Whether SQLite should not look rows up by what they have in common; PostgreSQL can tell.

    It would find and sort every one of them, for each page of a list. As no index holds the result
    of an expression, a condition on one (such as a text with nothing appended) keeps it from that.
    """
    if db.engine.dialect.name != "sqlite":
        return False
    some = alike.limit(COMMON).subquery()
    return bool(read_all(select(func.count() == COMMON).select_from(some))[0][0])
