"""Renewal of a live session: refresh tokens within the grace, and reauthentication."""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.crypto import is_digest
from authserve.core.errors import (
    InvalidTokenError,
    SessionRevokedError,
    StepUpRequiredError,
    UnauthenticatedError,
)
from authserve.core.events import AuditAction, Outcome
from authserve.core.levels import Level, Proof, amr_of
from authserve.database.emit import emit
from authserve.database.server_clock import server_now
from authserve.database.statements import PreparedStatement, UTCDateTime
from authserve.database.transactions import execute, read_all, transaction
from authserve.sessions.ending import end_where
from authserve.sessions.errors import TokenReusedError
from authserve.sessions.policy import (
    REFUSALS,
    RefreshVerdict,
    RevokeReason,
    SessionKind,
    SessionState,
    check_refresh,
    check_session,
)
from authserve.sessions.statements import TABLE, is_live
from authserve.tokens.refresh import RefreshClaims
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user

logger = logging.getLogger(__name__)

_MOMENT = bindparam("moment", type_=UTCDateTime)

_FIND = PreparedStatement(
    select(
        TABLE.c.id,
        TABLE.c.user_id,
        TABLE.c.family_digest,
        TABLE.c.generation,
        TABLE.c.rotated_at,
        TABLE.c.revoked_at,
        TABLE.c.expires_at,
        TABLE.c.idle_expires_at,
        # Another machine may have rotated the session, so both times use the shared clock.
        server_now(_MOMENT).label("shared_now"),
    )
    .where(TABLE.c.id == bindparam("session_id"))
    .with_for_update(),
    name="session_within_grace",
)


def require_within_grace(
    claims: RefreshClaims, *, grace: timedelta, request: RequestInfo, now: datetime
) -> None:
    """Raise the refusal of a refresh token that did not rotate its session.

    Return if the token is of the current or the previous generation, within the grace after a
    rotation. An old token ends the session, and that is committed.

    Args:
        claims: of the verified token.
        grace: see `policy.check_refresh`.
        request: for the audit event of a reuse.
        now: the time at which it did not rotate.

    Raises:
        SessionRevokedError: the session is unknown or was ended.
        TokenExpiredError: the idle or the absolute limit has passed.
        InvalidTokenError: user or family secret are not the session's, despite a valid signature.
        TokenReusedError: the token is old.
    """
    with transaction(durable=True):
        refusal = _find_refusal(claims, grace, request, now)
    if refusal is not None:
        raise refusal


def _find_refusal(
    claims: RefreshClaims, grace: timedelta, request: RequestInfo, now: datetime
) -> UnauthenticatedError | None:
    """Return the error to raise; the order of the checks is the API contract's."""
    rows = read_all(_FIND, {"session_id": claims.session_id, "moment": now})
    if not rows:
        return SessionRevokedError()
    row = rows[0]
    if row.user_id != claims.user_id:
        return InvalidTokenError()
    if not is_digest(row.family_digest, claims.family_secret):
        return InvalidTokenError()
    state = check_session(row, now)
    if state is not SessionState.LIVE:
        return REFUSALS[state]()
    verdict = check_refresh(
        presented=claims.generation,
        current=row.generation,
        rotated_at=row.rotated_at,
        now=row.shared_now,
        grace=grace,
    )
    if not verdict.is_reuse:
        return None
    end_where(TABLE.c.id == row.id, RevokeReason.REUSE_DETECTED, now=now)
    _report_reuse(row, claims.generation, verdict, request)
    return TokenReusedError()


def _report_reuse(
    row: Row[Any], presented: int, verdict: RefreshVerdict, request: RequestInfo
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


def renew_authentication(
    user: UserRef,
    session_id: UUID,
    *,
    level: Level,
    proofs: Collection[Proof],
    actor: Actor,
    request: RequestInfo,
    now: datetime,
) -> None:
    """Record that the user of a live session has just reauthenticated.

    Args:
        user, session_id, level, proofs, now: see `raise_session`.
        actor, request: for the audit event.

    Raises:
        SessionRevokedError: the session has ended or expired meanwhile.
        StepUpRequiredError: it has risen meanwhile above what these proofs reach.
    """
    with transaction():
        reached = raise_session(user, session_id, level=level, proofs=proofs, now=now)
        if reached > level:
            raise StepUpRequiredError(level=reached)
        details = {"session_id": str(session_id), "amr": sorted(proofs), "acr": level.acr}
        emit(
            AuditAction.SESSION_REAUTHENTICATED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )


def touch_browser_session(session_id: UUID, *, now: datetime) -> bool:
    """Record the use of a live session of a browser by an app, in the open transaction.

    Its row stays locked, so that a simultaneous sign-out waits for the transaction.

    Returns:
        False if the session has ended or expired.
    """
    is_it = (TABLE.c.id == session_id) & (TABLE.c.kind == SessionKind.BROWSER) & is_live(now)
    return execute(update(TABLE).where(is_it).values(last_used_at=now)).rowcount == 1


_FIND_LEVEL = select(TABLE.c.aal, TABLE.c.amr).with_for_update()


def raise_session(
    user: UserRef,
    session_id: UUID,
    *,
    level: Level,
    proofs: Collection[Proof],
    now: datetime,
) -> Level:
    """Add proofs to a live session, in the open transaction; its level never falls.

    Args:
        user: the session's user.
        session_id: the session.
        level: the level that the user has reached now.
        proofs: what the user has just proven.
        now: the new time of authentication.

    Returns:
        The session's level now.

    Raises:
        SessionRevokedError: the session has ended or expired meanwhile.
    """
    is_it = (TABLE.c.id == session_id) & (TABLE.c.user_id == user.id) & is_live(now)
    rows = read_all(_FIND_LEVEL.where(is_it))
    if not rows:
        raise SessionRevokedError
    raised = max(level, Level(rows[0].aal))
    amr = list(amr_of({*rows[0].amr, *proofs}, raised))
    execute(update(TABLE).where(is_it).values(aal=raised, amr=amr, auth_time=now))
    return raised
