"""Search for accounts by the beginning of an address, username or name.

Accounts are in the order of the matching text, not newest first. So each of the three indexes is
read from where the page begins, and a page reads at most some hundred entries, however many
accounts match.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, literal, select, tuple_, union_all

from authserve.core.frozen import frozen
from authserve.core.identifiers import email_beginnings, lower_key, search_key, unicode_email
from authserve.database.sqlite_hints import is_common_on_sqlite, unindexed, unindexed_on_sqlite
from authserve.database.transactions import db, read_all
from authserve.users.lists import UserFilters, as_it_is, conditions
from authserve.users.models import TABLE, User

MAX_ROUNDS = 8
"""Greatest number of reads of each index for one page. An account can match by several texts and is
shown once; a page that meets only repetitions ends early, with fewer accounts and a next page
(chosen)."""

Match = tuple[str, int, UUID]
"""Position of a match in a search: the matching text, the number of its beginning, the account."""


@frozen()
class Matches:
    """A page of a search.

    Args:
        users: rows with the columns of accounts.
        last: position of the page's end, or None if no account follows.
    """

    users: Sequence[Row[Any]]
    last: Match | None


@frozen()
class _Beginning:
    """One way to match: a column that begins with a text.

    Args:
        column: the column.
        text: the beginning of its stored value.
        shown: if set, the beginning that the address must also have in Unicode form.
    """

    column: Any
    text: str
    shown: str = ""

    @property
    def repeats(self) -> bool:
        """True for names: they repeat, so their index includes the id. Other columns are unique."""
        return self.column is User.name_key

    def fits(self, row: Row[Any]) -> bool:
        """Return True if an account's value has this beginning."""
        value = getattr(row, self.column.key)
        if value is None or not value.startswith(self.text):
            return False
        return not self.shown or unicode_email(value).startswith(self.shown)


def find_by_beginning(
    text: str, filters: UserFilters, *, limit: int, after: Match | None = None
) -> Matches:
    """Return accounts whose address, username or name begins with a text, in any letter case.

    Args:
        text: the domain of an address may be in Unicode or in IDNA's ASCII form.
        filters: the filters.
        limit: greatest number of accounts; a page may have fewer although more follow.
        after: position of the previous page's end.
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
    """Return True if SQLite should use the indexes of times, because few accounts match them."""
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
    """Read the next matches of all beginnings, up to the position where all are complete.

    Returns:
        The matches in the order of the search, repetitions included; and the position up to which
        they are complete, or None if no more follow.
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
            # The greatest code point sorts after every text with this beginning. Unlike LIKE, a
            # range can use a plain index on both databases.
            column < beginning.text + "\U0010ffff",
            *conditions(filters, flags=unindexed_on_sqlite, times=times),
        )
        .order_by(*((column, User.id) if beginning.repeats else (column,)))
    )


def _follows(
    beginning: _Beginning, column: Any, number: int, after: Match | None
) -> ColumnElement[bool]:
    """Return a single lower bound: with two, SQLite may begin at the lower one."""
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
    """Return True if this row is its account's first match, not a repetition or a mismatch."""
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
    # Accounts that were deleted meanwhile are left out.
    return [users[user_id] for user_id in ids if user_id in users]
