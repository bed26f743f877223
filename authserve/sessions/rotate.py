"""Rotation of a session by a refresh token: at most one rotation within the grace."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, case, or_, select, update
from sqlalchemy.orm import Session as DatabaseSession

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest, is_equal
from authserve.core.errors import InvalidTokenError, SessionRevokedError, UnauthenticatedError
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.server_clock import server_now, shared_time
from authserve.database.transactions import AnyReturning, UTCDateTime, transaction, write_repeatably
from authserve.sessions.errors import TokenReusedError
from authserve.sessions.models import Session
from authserve.sessions.policy import (
    CLOCK_TOLERANCE,
    RefreshVerdict,
    RevokeReason,
    SessionState,
    check_refresh,
    check_session,
)
from authserve.sessions.statements import (
    ISSUED_COLUMNS,
    REFUSALS,
    TABLE,
    IssuedSession,
    is_live,
    issued_session,
)
from authserve.settings.model import SETTINGS
from authserve.users.accounts import get_user, ref_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedRefresh:
    """Content of a refresh token whose signature and times are verified."""

    session_id: UUID
    user_id: UUID
    generation: int
    family_secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Result of a refresh.

    Args:
        session: the session, ready for tokens.
        row: the row that `advance` returned; None within the grace, when nothing rotates.
    """

    session: IssuedSession
    row: Row[Any] | None


def rotate_session(
    presented: PresentedRefresh, *, request: RequestInfo, advance: AnyReturning
) -> Rotation:
    """Spend a refresh token: the session advances by one generation, stays, or ends.

    One conditional UPDATE decides, so exactly one of several simultaneous callers advances the
    session; a concurrent revocation locks the same row, so the second sees the first. Within the
    grace, callers with the current or the previous generation get the current one, so clients that
    share a token all end with a valid one.

    Args:
        presented: the content of the verified token.
        request: for the audit event of a reuse.
        advance: `ADVANCE`, or a copy that returns more columns.

    Raises:
        SessionRevokedError: the session is unknown or was ended.
        TokenExpiredError: the idle or the absolute limit has passed.
        InvalidTokenError: user or family secret are not the session's, despite a valid signature.
        TokenReusedError: the token is old; the end of the session is already committed.
    """
    moment = now()
    # If the UPDATE runs twice, the second run is one generation behind, and within the grace.
    rows = write_repeatably(advance, _parameters(presented, moment))
    if rows:
        return Rotation(issued_session(rows[0], presented.family_secret), rows[0])
    retried = _answer_refused(presented, moment, request)
    return Rotation(issued_session(retried, presented.family_secret, is_retry=True), None)


_MOMENT = bindparam("moment", type_=UTCDateTime)
_IDLE_LIMIT = bindparam("idle_limit", type_=UTCDateTime)
_GRACE_START = bindparam("grace_start", type_=UTCDateTime)
_CLOCK_LIMIT = bindparam("clock_limit", type_=UTCDateTime)


def _is_past_grace() -> ColumnElement[bool]:
    """Return `not policy.is_within_grace` as SQL."""
    return or_(
        TABLE.c.rotated_at.is_(None),
        TABLE.c.rotated_at < shared_time(_GRACE_START, _MOMENT),
        TABLE.c.rotated_at > shared_time(_CLOCK_LIMIT, _MOMENT),
    )


ADVANCE = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("session_id"),
        TABLE.c.user_id == bindparam("owner_id"),
        TABLE.c.generation == bindparam("presented_generation"),
        TABLE.c.family_digest == bindparam("presented_digest"),
        _is_past_grace(),
        is_live(_MOMENT),
    )
    .values(
        generation=TABLE.c.generation + 1,
        rotated_at=server_now(_MOMENT),
        last_used_at=_MOMENT,
        idle_expires_at=case(
            (TABLE.c.expires_at < _IDLE_LIMIT, TABLE.c.expires_at), else_=_IDLE_LIMIT
        ),
    )
    .returning(*ISSUED_COLUMNS)
)
"""UPDATE that advances a session by one generation. The caller adds the columns that it needs, so a
refresh is one statement. It is built once: building it took a quarter of all function calls of a
refresh (measured)."""


def _parameters(presented: PresentedRefresh, moment: datetime) -> dict[str, Any]:
    settings = SETTINGS.get()
    return {
        "session_id": presented.session_id,
        "owner_id": presented.user_id,
        "presented_generation": presented.generation,
        "presented_digest": digest(presented.family_secret),
        "moment": moment,
        "grace_start": moment - settings.refresh_reuse_grace,
        "clock_limit": moment + CLOCK_TOLERANCE,
        "idle_limit": moment + settings.refresh_idle_ttl,
    }


def _answer_refused(presented: PresentedRefresh, moment: datetime, request: RequestInfo) -> Session:
    """Return the session of a token that is accepted without a rotation, or raise its refusal."""
    with transaction(durable=True) as session:
        judged = _explain_refused(session, presented, moment, request)
    if isinstance(judged, UnauthenticatedError):
        raise judged
    return judged


def _explain_refused(
    session: DatabaseSession, presented: PresentedRefresh, moment: datetime, request: RequestInfo
) -> Session | UnauthenticatedError:
    """Return the session of a token that the UPDATE did not match, or the error to raise.

    The order of the checks is the API contract's. A reused token ends the session.
    """
    row = session.get(Session, presented.session_id, with_for_update=True)
    if row is None:
        return SessionRevokedError()
    if row.user_id != presented.user_id:
        return InvalidTokenError()
    if not is_equal(row.family_digest, digest(presented.family_secret)):
        return InvalidTokenError()
    state = check_session(row, moment)
    if state is not SessionState.LIVE:
        return REFUSALS[state]()
    verdict = check_refresh(
        presented=presented.generation,
        current=row.generation,
        rotated_at=row.rotated_at,
        # Another machine may have rotated the session, so both times use the shared clock.
        now=session.scalars(select(server_now(_MOMENT)), {"moment": moment}).one(),
        grace=SETTINGS.get().refresh_reuse_grace,
    )
    if not verdict.is_reuse:
        return row
    row.revoked_at = moment
    row.revoke_reason = RevokeReason.REUSE_DETECTED
    _report_reuse(row, presented.generation, verdict, request)
    return TokenReusedError()


def _report_reuse(
    row: Session, presented: int, verdict: RefreshVerdict, request: RequestInfo
) -> None:
    details = {
        "reason": verdict,
        "session_id": str(row.id),
        "presented_generation": presented,
        "current_generation": row.generation,
    }
    user = ref_of(get_user(row.user_id))
    logger.warning("refresh token reused", extra={"user_id": str(user.id), **details})
    emit(
        AuditAction.SESSION_REUSE_DETECTED,
        outcome=Outcome.FAILURE,
        actor=VISITOR,
        subject=user,
        request=request,
        details=details,
    )
