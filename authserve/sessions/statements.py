"""SQL of sessions that several use cases share."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, FromClause, Update, update

from authserve.database.statements import table_of
from authserve.sessions.models import Session
from authserve.sessions.policy import RevokeReason

TABLE = table_of(Session)


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
