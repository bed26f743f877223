"""SQL of sessions that several use cases share."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, FromClause, Row, Update, update

from authserve.core.frozen import frozen
from authserve.database.statements import table_of
from authserve.sessions.models import Session
from authserve.sessions.policy import RevokeReason

TABLE = table_of(Session)

PARENT = TABLE.alias("parent")
"""The browser's session that the session of an app is below."""

PARENT_COLUMNS = tuple(
    PARENT.c[name].label(f"parent_{name}")
    for name in (
        *("id", "last_used_at", "is_remembered"),
        *("revoked_at", "expires_at", "idle_expires_at"),
    )
)


@frozen()
class ParentTimes:
    """The times that decide the state of a parent session."""

    revoked_at: datetime | None
    expires_at: datetime
    idle_expires_at: datetime


def find_parent_times(row: Row[Any]) -> ParentTimes | None:
    """Return the parent's times from a row with `PARENT_COLUMNS`; None without a parent."""
    if row.parent_id is None:
        return None
    return ParentTimes(row.parent_revoked_at, row.parent_expires_at, row.parent_idle_expires_at)


def is_live(
    moment: datetime | BindParameter[datetime], *, of: FromClause = TABLE
) -> ColumnElement[bool]:
    """Return the SQL condition that `check_session` finds a session live.

    Args:
        of: the table, or an alias of it.
    """
    return of.c.revoked_at.is_(None) & (of.c.expires_at > moment) & (of.c.idle_expires_at > moment)


def is_own_of(owner_id: BindParameter[Any]) -> ColumnElement[bool]:
    """Return the SQL condition that a session is the user's own, not an app's."""
    return (TABLE.c.user_id == owner_id) & TABLE.c.client_id.is_(None)


def revocation(reason: RevokeReason, moment: datetime | BindParameter[datetime]) -> Update:
    """Return an UPDATE that ends sessions not ended before; the caller adds the conditions."""
    return (
        update(TABLE)
        .where(TABLE.c.revoked_at.is_(None))
        .values(revoked_at=moment, revoke_reason=reason)
    )
