"""Finding many accounts at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, or_, select, tuple_

from authserve.database.sqlite_hints import is_common_on_sqlite, unindexed_on_sqlite
from authserve.database.transactions import read_all, transaction
from authserve.users.models import TABLE, User, email_domain


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilters:
    """Which accounts a list holds; what is None does not narrow it.

    Args:
        domain: of the address, in canonical form.
        ids: a subquery of user ids, for what another feature knows.
        created_after, created_before, updated_after: times; the bounds are left out.
    """

    domain: str | None = None
    is_active: bool | None = None
    mfa_enabled: bool | None = None
    ids: Select[UUID] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None


Position = tuple[datetime, UUID]
"""The place of an account in a list: a time, and the id among those of the same time.

Ids alone would not do: an import keeps the times of another system, and its ids where it has some.
"""


def position_of(user: User) -> Position:
    """Return the place of an account by its creation, for the page after it."""
    return user.created_at, user.id


def position_in(filters: UserFilters) -> Callable[[User], Position]:
    """Return how `search_users` finds the place of an account, for the page after it."""
    return position_of if filters.updated_after is None else _position_by_change


def _position_by_change(user: User) -> Position:
    return user.updated_at, user.id


def search_users(
    filters: UserFilters, *, limit: int, after: Position | None = None
) -> Sequence[User]:
    """Return at most `limit` accounts that fit, newest first.

    With `updated_after` they are in the order of their last change, oldest first: so a client
    that copies changes goes on from the last one, and an account that changes meanwhile comes
    again.

    Args:
        after: the place of the page before's last account.
    """
    statement = select(User).limit(limit)
    if filters.updated_after is None:
        statement = _newest_first(statement, filters, after)
    else:
        statement = _changed_first(statement, filters, filters.updated_after, after)
    with transaction() as session:
        return session.scalars(statement).all()


def _newest_first(
    statement: Select[User], filters: UserFilters, after: Position | None
) -> Select[User]:
    # Among the accounts of one domain, SQLite would go through all active ones instead.
    flags = as_it_is if filters.domain is None else unindexed_on_sqlite
    statement = statement.where(*conditions(filters, flags=flags))
    if after is not None:
        statement = statement.where(tuple_(User.created_at, User.id) < after)
    return statement.order_by(User.created_at.desc(), User.id.desc())


def _changed_first(
    statement: Select[User], filters: UserFilters, updated_after: datetime, after: Position | None
) -> Select[User]:
    filters = replace(filters, updated_after=None)
    using = unindexed_on_sqlite
    statement = statement.where(*conditions(filters, flags=using, times=using))
    # One bound only: given two, SQLite may begin at the lower one.
    if after is None or after[0] <= updated_after:
        statement = statement.where(User.updated_at > updated_after)
    else:
        statement = statement.where(tuple_(User.updated_at, User.id) > after)
    return statement.order_by(User.updated_at, User.id)


Using = Callable[[Any], ColumnElement[Any]]
"""How a condition names a column: as it is, or so that SQLite uses no index of it."""


def as_it_is(column: Any) -> ColumnElement[Any]:
    """Return a column whose indexes a condition may use."""
    found: ColumnElement[Any] = column
    return found


def conditions(
    filters: UserFilters, *, flags: Using = as_it_is, times: Using = as_it_is
) -> Iterable[ColumnElement[bool]]:
    """Yield the filters as SQL.

    Args:
        flags, times: how to name the columns of flags and of times.
    """
    if filters.domain is not None:
        yield email_domain(User.email) == filters.domain
    if filters.is_active is not None:
        yield flags(User.is_active).is_(filters.is_active)
    if filters.mfa_enabled is not None:
        yield flags(User.mfa_enabled).is_(filters.mfa_enabled)
    if filters.ids is not None:
        yield _is_one_of(filters.ids)
    if filters.created_after is not None:
        yield times(User.created_at) > filters.created_after
    if filters.created_before is not None:
        yield times(User.created_at) < filters.created_before
    if filters.updated_after is not None:
        yield times(User.updated_at) > filters.updated_after


def _is_one_of(ids: Select[UUID]) -> ColumnElement[bool]:
    if is_common_on_sqlite(ids):
        # Asked of each account in its turn, where IN would gather all ids first.
        return ids.where(ids.selected_columns[0] == User.id).exists()
    return User.id.in_(ids)


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
    statement = select(User).where(*conditions(filters or UserFilters()))
    statement = statement.order_by(User.created_at, User.id).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(User.created_at, User.id) > after)
    with transaction() as session:
        return session.scalars(statement).all()


def find_ids_by_audit_id(audit_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the ids of living accounts by the ids that audit events hold of them."""
    wanted = list(set(audit_ids))
    statement = select(User.audit_id, User.id).where(User.audit_id.in_(wanted))
    return {row.audit_id: row.id for row in read_all(statement)}


def find_audit_id(user_id: UUID) -> UUID | None:
    """Return the id that audit events hold of a living account, or None."""
    rows = read_all(select(User.audit_id).where(User.id == user_id))
    return rows[0].audit_id if rows else None
