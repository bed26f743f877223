"""Finding many accounts at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, or_, select, tuple_

from authserve.core.db import read_all, transaction
from authserve.core.identifiers import search_key
from authserve.core.sqlite_statistics import is_common_on_sqlite, unindexed
from authserve.users.models import TABLE, User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilters:
    """Which accounts a list holds; what is None does not narrow it.

    Args:
        beginning: of an address, a username or a name, in any letter case.
        ids: a subquery of user ids, for what another feature knows.
        created_after, created_before: moments; both bounds are left out.
    """

    beginning: str | None = None
    is_active: bool | None = None
    ids: Select[UUID] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


Position = tuple[datetime, UUID]
"""Where an account stands in every list: when it was made, and its id among those made at once.

Ids alone would not do: an import keeps the times of another system, and its ids where it has some.
"""


def position_of(user: User) -> Position:
    """Where an account stands, for the page after it."""
    return user.created_at, user.id


def search_users(
    filters: UserFilters, *, limit: int, before: Position | None = None
) -> Sequence[User]:
    """At most `limit` accounts that fit, newest first.

    Args:
        before: only those that stand before this, for the next page.
    """
    statement = select(User).where(*_conditions(filters)).limit(limit)
    statement = statement.order_by(User.created_at.desc(), User.id.desc())
    if before is not None:
        statement = statement.where(tuple_(User.created_at, User.id) < before)
    with transaction() as session:
        return session.scalars(statement).all()


def _conditions(filters: UserFilters) -> Iterable[ColumnElement[bool]]:
    if filters.beginning is not None:
        yield _begins(filters.beginning)
    if filters.is_active is not None:
        yield User.is_active.is_(filters.is_active)
    if filters.ids is not None:
        yield _is_one_of(filters.ids)
    if filters.created_after is not None:
        yield User.created_at > filters.created_after
    if filters.created_before is not None:
        yield User.created_at < filters.created_before


def _begins(text: str) -> ColumnElement[bool]:
    key = search_key(text.strip())
    columns = (User.email, User.username, User.name_key)
    begins = or_(*(_in_range(column, key) for column in columns))
    if is_common_on_sqlite(select(User.id).where(begins)):
        return or_(*(_in_range(unindexed(column), key) for column in columns))
    return begins


def _is_one_of(ids: Select[UUID]) -> ColumnElement[bool]:
    if is_common_on_sqlite(ids):
        # Asked of each account in its turn, where IN would gather all ids first.
        return ids.where(ids.selected_columns[0] == User.id).exists()
    return User.id.in_(ids)


def _in_range(column: Any, beginning: str) -> ColumnElement[bool]:
    """A range that a plain index serves on both databases, where LIKE depends on their settings.

    The greatest code point follows whatever begins so.
    """
    in_range: ColumnElement[bool] = (column >= beginning) & (column < beginning + "\U0010ffff")
    return in_range


_WITH_IDENTIFIERS = select(TABLE.c.id, TABLE.c.email, TABLE.c.username).where(
    or_(
        TABLE.c.email.in_(bindparam("identifiers", expanding=True)),
        TABLE.c.username.in_(bindparam("identifiers", expanding=True)),
    )
)
"""Built once: every registration asks."""


def find_ids_by_identifier(identifiers: Sequence[str]) -> dict[str, UUID]:
    """Who has which of these canonical addresses and usernames; the free ones are left out."""
    found: dict[str, UUID] = {}
    for start in range(0, len(identifiers), _IN_SLICE):
        part = identifiers[start : start + _IN_SLICE]
        for row in read_all(_WITH_IDENTIFIERS, {"identifiers": part}):
            found[row.email] = row.id
            if row.username is not None:
                found[row.username] = row.id
    return {identifier: found[identifier] for identifier in identifiers if identifier in found}


_IN_SLICE = 500
"""Values in one IN list, well below SQLite's limit on parameters."""


def page_of_users(
    filters: UserFilters | None = None, *, limit: int, after: Position | None = None
) -> Sequence[User]:
    """At most `limit` accounts that fit, oldest first.

    Args:
        after: only those that stand after this, for the next page.
    """
    statement = select(User).where(*_conditions(filters or UserFilters()))
    statement = statement.order_by(User.created_at, User.id).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(User.created_at, User.id) > after)
    with transaction() as session:
        return session.scalars(statement).all()


def find_ids_by_audit_id(audit_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Whose pseudonyms these are; those of deleted accounts are left out."""
    wanted = list(set(audit_ids))
    statement = select(User.audit_id, User.id).where(User.audit_id.in_(wanted))
    return {row.audit_id: row.id for row in read_all(statement)}


def find_audit_id(user_id: UUID) -> UUID | None:
    """The pseudonym under which the audit trail knows an account."""
    rows = read_all(select(User.audit_id).where(User.id == user_id))
    return rows[0].audit_id if rows else None
