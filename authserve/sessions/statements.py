"""What the use cases of sessions share: conditions, forms and refusals of a session's row."""

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
"""128 bits (ASVS 7.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedSession:
    """A session as its next pair of tokens needs it.

    Args:
        generation: what the refresh token has to carry.
        refresh_expires_at: the nearer of the idle and the absolute limit.
        family_secret: what every refresh token of the session carries.
        is_retry: True if the call moved nothing, being within the grace of a refresh before it.
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
"""What `issued_session` reads of a row."""


def issued_session(
    row: Session | Row[Any], family_secret: bytes, *, is_retry: bool = False
) -> IssuedSession:
    """The session of `row`, ready for tokens."""
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
    """`judge_session` as SQL."""
    return (
        TABLE.c.revoked_at.is_(None)
        & (TABLE.c.expires_at > moment)
        & (TABLE.c.idle_expires_at > moment)
    )


def revocation(reason: RevokeReason, moment: datetime | BindParameter[datetime]) -> Update:
    """An UPDATE that ends sessions, each once; narrow it to those that are meant.

    Whether one has ended yet is asked in a form that no index serves: SQLite, which knows nothing
    of how many there are, would go through all that live for the sake of one user's.
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
    """Raise what a token of a session in this state is answered with.

    Raises:
        SessionRevokedError, TokenExpiredError: the session does not count any more.
    """
    if state is not SessionState.LIVE:
        raise REFUSALS[state]()
