"""Lists of accounts, and lookups of many accounts at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, tuple_

from authserve.core.frozen import frozen
from authserve.database.sqlite_hints import is_common_on_sqlite, unindexed_on_sqlite
from authserve.database.transactions import read_all, transaction
from authserve.users.models import TABLE, User, email_domain


@frozen(kw_only=True)
class UserFilters:
    """Filters of a list of accounts; None does not filter.

    Args:
        domain: domain of the address, in canonical form.
        ids: a subquery of user ids, for a filter of another feature.
        created_after, created_before, updated_after: times; the bound itself is excluded.
    """

    domain: str | None = None
    is_active: bool | None = None
    mfa_enabled: bool | None = None
    ids: Select[UUID] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None


Position = tuple[datetime, UUID]
"""Position of an account in a list: a time, then the id among accounts of the same time.

The id alone is not enough: an import can keep the times and ids of another system, so ids need not
be in the order of times.
"""


def position_of(user: User) -> Position:
    """Return the position of an account by its creation, for the next page."""
    return user.created_at, user.id


def position_in(filters: UserFilters) -> Callable[[User], Position]:
    """Return the function that gives an account's position in `search_users`, for the next page."""
    return position_of if filters.updated_after is None else _position_by_change


def _position_by_change(user: User) -> Position:
    return user.updated_at, user.id


def search_users(
    filters: UserFilters, *, limit: int, after: Position | None = None
) -> Sequence[User]:
    """Return at most `limit` accounts that match, newest first.

    With `updated_after` the order is by last change, oldest first. So a client that copies changes
    continues after the last one, and receives an account that changes meanwhile again.

    Args:
        filters: the filters.
        limit: greatest number of accounts.
        after: position of the previous page's last account.
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
    # With a domain filter, SQLite would otherwise choose a flag's index and read all its accounts.
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


def count_users_except(filters: UserFilters, others: Select[UUID], *, limit: int) -> int:
    """Count the accounts that match, without those of a subquery of ids, up to `limit`."""
    found = select(User.id).where(*conditions(filters), User.id.not_in(others)).limit(limit)
    return int(read_all(select(func.count()).select_from(found.subquery()))[0][0])


Using = Callable[[Any], ColumnElement[Any]]
"""Function that gives a condition its column: unchanged, or so that SQLite uses no index on it."""


def as_it_is(column: Any) -> ColumnElement[Any]:
    """Return a column whose indexes a condition may use."""
    found: ColumnElement[Any] = column
    return found


def conditions(
    filters: UserFilters, *, flags: Using = as_it_is, times: Using = as_it_is
) -> Iterable[ColumnElement[bool]]:
    """Yield the filters as SQL.

    Args:
        filters: the filters.
        flags, times: functions for the columns of flags and of times; see `Using`.
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
        # EXISTS is checked for each account in turn; IN would collect all ids first.
        return ids.where(ids.selected_columns[0] == User.id).exists()
    return User.id.in_(ids)


_WITH_IDENTIFIERS = select(TABLE.c.id, TABLE.c.email, TABLE.c.username).where(
    or_(
        TABLE.c.email.in_(bindparam("identifiers", expanding=True)),
        TABLE.c.username.in_(bindparam("identifiers", expanding=True)),
    )
)


def find_ids_by_identifier(identifiers: Sequence[str]) -> dict[str, UUID]:
    """Return the account ids of these canonical addresses and usernames; free ones are omitted."""
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
    """Return at most `limit` accounts that match, oldest first.

    Args:
        filters: all accounts if None.
        limit: greatest number of accounts.
        after: position of the previous page's last account.
    """
    statement = select(User).where(*conditions(filters or UserFilters()))
    statement = statement.order_by(User.created_at, User.id).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(User.created_at, User.id) > after)
    with transaction() as session:
        return session.scalars(statement).all()


def find_ids_by_audit_id(audit_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the ids of existing accounts, by the ids that audit events hold for them."""
    wanted = list(set(audit_ids))
    statement = select(User.audit_id, User.id).where(User.audit_id.in_(wanted))
    return {row.audit_id: row.id for row in read_all(statement)}


def find_audit_id(user_id: UUID) -> UUID | None:
    """Return the id that audit events hold for an existing account, or None."""
    rows = read_all(select(User.audit_id).where(User.id == user_id))
    return rows[0].audit_id if rows else None
