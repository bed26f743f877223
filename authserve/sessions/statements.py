"""SQL conditions, records and errors that the use cases of sessions share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Row, Update, func, null, update

from authserve.core.errors import SessionRevokedError, TokenExpiredError, UnauthenticatedError
from authserve.database.transactions import table_of
from authserve.sessions.models import Session
from authserve.sessions.policy import RevokeReason, SessionState

TABLE = table_of(Session)

FAMILY_SECRET_BYTES = 16
"""Length of a session's family secret: 128 bits (ASVS 7.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedSession:
    """Data of a session that its next pair of tokens needs.

    Args:
        generation: for the refresh token.
        refresh_expires_at: the earlier of the idle and the absolute limit.
        family_secret: carried by every refresh token of the session.
        is_retry: True if the call rotated nothing, within the grace of an earlier refresh.
    """

    id: UUID
    user_id: UUID
    generation: int
    expires_at: datetime
    refresh_expires_at: datetime
    amr: Sequence[str]
    auth_time: datetime
    family_secret: bytes = field(repr=False)
    is_retry: bool = False


ISSUED_COLUMNS = (
    TABLE.c.id,
    TABLE.c.user_id,
    TABLE.c.generation,
    TABLE.c.expires_at,
    TABLE.c.idle_expires_at,
    TABLE.c.amr,
    TABLE.c.auth_time,
)
"""Columns that `issued_session` reads."""


def issued_session(
    row: Session | Row[Any], family_secret: bytes, *, is_retry: bool = False
) -> IssuedSession:
    """Return the session of `row`, ready for tokens."""
    return IssuedSession(
        id=row.id,
        user_id=row.user_id,
        generation=row.generation,
        expires_at=row.expires_at,
        refresh_expires_at=row.idle_expires_at,
        amr=row.amr,
        auth_time=row.auth_time,
        family_secret=family_secret,
        is_retry=is_retry,
    )


def is_live(moment: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Return the SQL condition that `check_session` finds a session live."""
    return (
        TABLE.c.revoked_at.is_(None)
        & (TABLE.c.expires_at > moment)
        & (TABLE.c.idle_expires_at > moment)
    )


def revocation(reason: RevokeReason, moment: datetime | BindParameter[datetime]) -> Update:
    """Return an UPDATE that ends sessions not ended before; the caller adds the conditions.

    The condition on `revoked_at` is written so that no index serves it: SQLite, which has no
    statistics, would otherwise read all live sessions to find one user's.
    """
    return (
        update(TABLE)
        .where(func.coalesce(TABLE.c.revoked_at, null()).is_(None))
        .values(revoked_at=moment, revoke_reason=reason)
    )


REFUSALS: dict[SessionState, type[UnauthenticatedError]] = {
    SessionState.REVOKED: SessionRevokedError,
    SessionState.EXPIRED: TokenExpiredError,
}


def require_live(state: SessionState) -> None:
    """Raise the error for a token whose session is not live.

    Raises:
        SessionRevokedError: the session was revoked.
        TokenExpiredError: the session is expired.
    """
    if state is not SessionState.LIVE:
        raise REFUSALS[state]()
