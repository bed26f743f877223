"""Finding accounts by the beginning of an address, username or name.

A search lists accounts by what fits, in the order of its text, not newest first: then each of the
three indexes is read from where the page begins, and no page reads more than some hundred entries,
however many accounts begin alike and wherever they stand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, literal, select, tuple_, union_all

from authserve.core.identifiers import email_beginnings, lower_key, search_key, unicode_email
from authserve.database.sqlite_hints import is_common_on_sqlite, unindexed, unindexed_on_sqlite
from authserve.database.transactions import db, read_all
from authserve.users.lists import UserFilters, as_it_is, conditions
from authserve.users.models import TABLE, User

MAX_ROUNDS = 8
"""Reads of each index for one page. Accounts fit by two texts or three, and are shown once; a page
that meets nothing but repetitions ends early, with fewer accounts and a next page (chosen)."""

Match = tuple[str, int, UUID]
"""The place of a fit in a search: the text that fits, the number of its beginning, the account."""


@dataclass(frozen=True, slots=True)
class Matches:
    """A page of a search.

    Args:
        users: the columns of accounts.
        last: the place of the page's end, or None if nothing follows.
    """

    users: Sequence[Row[Any]]
    last: Match | None


@dataclass(frozen=True, slots=True)
class _Beginning:
    """One way to fit: a column that begins with a text.

    Args:
        shown: what the address in Unicode must begin with besides.
    """

    column: Any
    text: str
    shown: str = ""

    @property
    def repeats(self) -> bool:
        """Names repeat, and have an index with the id; addresses and usernames do not."""
        return self.column is User.name_key

    def fits(self, row: Row[Any]) -> bool:
        """Return True if an account begins so."""
        value = getattr(row, self.column.key)
        if value is None or not value.startswith(self.text):
            return False
        return not self.shown or unicode_email(value).startswith(self.shown)


def find_by_beginning(
    text: str, filters: UserFilters, *, limit: int, after: Match | None = None
) -> Matches:
    """Return accounts whose address, username or name begins with a text, in any letter case.

    Args:
        text: an address's domain may be in Unicode or in IDNA's ASCII.
        limit: the greatest number of accounts; there may be fewer though more follow.
        after: the end of the page before.
    """
    beginnings = list(_beginnings(text.strip()))
    is_narrow = _is_narrow_on_sqlite(filters)
    found: list[Match] = []
    for _ in range(MAX_ROUNDS):
        rows, after = _read(beginnings, filters, is_narrow=is_narrow, limit=limit + 1, after=after)
        found += (_match(row) for row in rows if _is_first(row, beginnings))
        if len(found) > limit:
            after = found[limit - 1]
        if len(found) > limit or after is None:
            break
    return Matches(_users_of(found[:limit]), after)


def _is_narrow_on_sqlite(filters: UserFilters) -> bool:
    """Return True if SQLite should begin with the times, which few accounts have."""
    times = UserFilters(
        created_after=filters.created_after,
        created_before=filters.created_before,
        updated_after=filters.updated_after,
    )
    if times == UserFilters() or db.engine.dialect.name != "sqlite":
        return False
    return not is_common_on_sqlite(select(User.id).where(*conditions(times)))


def _beginnings(text: str) -> Iterable[_Beginning]:
    yield _Beginning(User.name_key, search_key(text))
    if "@" in text:
        for stored, shown in email_beginnings(text):
            yield _Beginning(User.email, stored, shown)
    else:
        yield _Beginning(User.username, lower_key(text))
        yield _Beginning(User.email, lower_key(text))


def _read(
    beginnings: Sequence[_Beginning],
    filters: UserFilters,
    *,
    is_narrow: bool,
    limit: int,
    after: Match | None,
) -> tuple[Sequence[Row[Any]], Match | None]:
    """Read the next fits of every beginning, as far as all of them are known.

    Returns:
        The fits in the order of the search, repetitions included; and the place of the last, or
        None if there are no more.
    """
    parts = [
        _fits_of(beginning, number, filters, is_narrow, after).limit(limit).subquery()
        for number, beginning in enumerate(beginnings)
    ]
    rows = sorted(read_all(union_all(*map(select, parts))), key=_match)
    by_number = [[row for row in rows if row.number == number] for number in range(len(parts))]
    ends = [_match(fits[-1]) for fits in by_number if len(fits) == limit]
    if not ends:
        return rows, None
    return [row for row in rows if _match(row) <= min(ends)], min(ends)


def _fits_of(
    beginning: _Beginning, number: int, filters: UserFilters, is_narrow: bool, after: Match | None
) -> Select[Any]:
    column = unindexed(beginning.column) if is_narrow else beginning.column
    times = as_it_is if is_narrow else unindexed_on_sqlite
    return (
        select(
            column.label("text"),
            literal(number).label("number"),
            User.id,
            User.email,
            User.username,
            User.name_key,
        )
        .where(
            _follows(beginning, column, number, after),
            # The greatest code point follows whatever begins so. Unlike LIKE, a range is served
            # by a plain index on both databases.
            column < beginning.text + "\U0010ffff",
            *conditions(filters, flags=unindexed_on_sqlite, times=times),
        )
        .order_by(*((column, User.id) if beginning.repeats else (column,)))
    )


def _follows(
    beginning: _Beginning, column: Any, number: int, after: Match | None
) -> ColumnElement[bool]:
    """Return one lower bound: given two, SQLite may begin at the lower one."""
    if after is None or after[0] < beginning.text:
        found: ColumnElement[bool] = column >= beginning.text
    elif number > after[1]:
        found = column >= after[0]
    elif number == after[1] and beginning.repeats:
        found = tuple_(column, User.id) > (after[0], after[2])
    else:
        found = column > after[0]
    return found


def _is_first(row: Row[Any], beginnings: Sequence[_Beginning]) -> bool:
    """Return True if this is the place of an account, and not a repetition or no fit at all."""
    places = [
        (getattr(row, beginning.column.key), number)
        for number, beginning in enumerate(beginnings)
        if beginning.fits(row)
    ]
    return (row.text, row.number) == min(places, default=None)


def _match(row: Row[Any]) -> Match:
    return row.text, row.number, row.id


def _users_of(matches: Sequence[Match]) -> Sequence[Row[Any]]:
    ids = [user_id for _, _, user_id in matches]
    users = {row.id: row for row in read_all(select(TABLE).where(TABLE.c.id.in_(ids)))}
    # One that was deleted meanwhile is left out.
    return [users[user_id] for user_id in ids if user_id in users]
