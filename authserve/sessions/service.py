"""The life of a session: start, rotate, end, list, purge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Update, bindparam, case, delete, or_, select, update
from sqlalchemy.orm import Session as DatabaseSession

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.crypto import digest, is_equal, random_bytes
from authserve.core.db import UTCDateTime, require_transaction, transaction
from authserve.core.errors import (
    InvalidTokenError,
    SessionRevokedError,
    TokenExpiredError,
    UnauthenticatedError,
)
from authserve.core.events import emit
from authserve.core.ids import new_id
from authserve.core.settings import get_settings
from authserve.sessions.errors import (
    SessionNotFoundError,
    TokenReusedError,
)
from authserve.sessions.events import SessionReuseDetected, SessionRevoked, SessionStarted
from authserve.sessions.models import Session
from authserve.sessions.policy import (
    MAX_SESSIONS_PER_USER,
    RefreshVerdict,
    RevokeReason,
    SessionState,
    judge_refresh,
    judge_session,
)
from authserve.users.events import UserDeactivated
from authserve.users.service import get_user, ref_of

__all__ = ["RevokeReason", "SessionState", "judge_session"]

FAMILY_SECRET_BYTES = 16
"""128 bits (ASVS 7.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedSession:
    """A session as its next pair of tokens needs it.

    Args:
        generation: what the refresh token has to carry.
        refresh_expires_at: the nearer of the idle and the absolute limit.
        family_secret: what every refresh token of the session carries; None after a rotation,
            where the caller has it from the token presented.
    """

    id: UUID
    user_id: UUID
    generation: int
    expires_at: datetime
    refresh_expires_at: datetime
    amr: Sequence[str]
    auth_time: datetime
    family_secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedRefresh:
    """What a refresh token said, its signature and times being good."""

    session_id: UUID
    generation: int
    family_secret: bytes


def start_session(user: UserRef, *, amr: Sequence[str], request: RequestInfo) -> IssuedSession:
    """Begin a session in the open transaction, which must hold the lock on the user's row.

    At most `MAX_SESSIONS_PER_USER` stay live; the oldest make room.

    Args:
        amr: how the user proved who they are (RFC 8176), for example `["pwd"]`.
    """
    settings, moment = get_settings(), now()
    family_secret = random_bytes(FAMILY_SECRET_BYTES)
    expires_at = moment + settings.session_ttl
    row = Session(
        id=new_id(),
        user_id=user.id,
        generation=0,
        family_digest=digest(family_secret),
        created_at=moment,
        last_used_at=moment,
        idle_expires_at=min(moment + settings.refresh_idle_ttl, expires_at),
        expires_at=expires_at,
        ip=request.ip,
        user_agent=request.user_agent,
        amr=list(amr),
        auth_time=moment,
    )
    session = require_transaction()
    session.add(row)
    session.flush()
    _evict_oldest(user, moment)
    details = {"session_id": str(row.id), "amr": list(amr)}
    emit(
        SessionStarted(
            actor=Actor(user=user, session_id=row.id),
            subject=user,
            request=request,
            details=details,
        )
    )
    return _issued(row, family_secret)


def _evict_oldest(user: UserRef, moment: datetime) -> None:
    surplus = (
        select(Session.id)
        .where(Session.user_id == user.id, _is_live(moment))
        .order_by(Session.created_at.desc(), Session.id.desc())
        .offset(MAX_SESSIONS_PER_USER)
    )
    require_transaction().execute(
        _revocation(RevokeReason.EVICTED, moment).where(Session.id.in_(surplus))
    )


def _issued(row: Session, family_secret: bytes) -> IssuedSession:
    return IssuedSession(
        id=row.id,
        user_id=row.user_id,
        generation=row.generation,
        expires_at=row.expires_at,
        refresh_expires_at=row.idle_expires_at,
        amr=row.amr,
        auth_time=row.auth_time,
        family_secret=family_secret,
    )


def rotate_session(presented: PresentedRefresh, *, request: RequestInfo) -> IssuedSession:
    """Spend a refresh token: the session moves on by one generation, or ends.

    One conditional UPDATE decides, so of any number of simultaneous callers one moves the
    session; the others find themselves one behind and, within the grace, are given the present
    generation. Ending a session contends for the same row: whichever is second sees the first.

    Raises:
        SessionRevokedError: the session is unknown or was ended.
        TokenExpiredError: the idle or the absolute limit has passed.
        InvalidTokenError: the token is not of this session, whatever signed it.
        TokenReusedError: an old token; the session has been ended, and that is committed.
    """
    moment = now()
    with transaction(durable=True) as session:
        row = _advance(session, presented, moment)
        if row is None:
            row, refusal = _judge_refused(session, presented, moment, request)
        else:
            refusal = None
    if refusal is not None:
        raise refusal
    assert row is not None
    return _issued(row, presented.family_secret)


def _advance(
    session: DatabaseSession, presented: PresentedRefresh, moment: datetime
) -> Session | None:
    settings = get_settings()
    idle_limit = moment + settings.refresh_idle_ttl
    statement = (
        update(Session)
        .where(
            Session.id == presented.session_id,
            Session.generation == presented.generation,
            Session.family_digest == digest(presented.family_secret),
            _is_live(moment),
        )
        .values(
            generation=Session.generation + 1,
            rotated_at=moment,
            last_used_at=moment,
            idle_expires_at=case(
                (Session.expires_at < idle_limit, Session.expires_at),
                else_=bindparam("idle_limit", idle_limit, UTCDateTime),
            ),
        )
        .returning(Session)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(statement)


def _judge_refused(
    session: DatabaseSession, presented: PresentedRefresh, moment: datetime, request: RequestInfo
) -> tuple[Session | None, UnauthenticatedError | None]:
    """Say why the UPDATE passed the row by; the order of judgement is the contract's."""
    row = session.get(Session, presented.session_id, with_for_update=True)
    if row is None:
        return None, SessionRevokedError()
    if not is_equal(row.family_digest, digest(presented.family_secret)):
        return None, InvalidTokenError()
    state = judge_session(row, moment)
    if state is not SessionState.LIVE:
        return None, _REFUSALS[state]()
    verdict = judge_refresh(
        presented=presented.generation,
        current=row.generation,
        rotated_at=row.rotated_at,
        now=moment,
        grace=get_settings().refresh_reuse_grace,
    )
    if verdict is not RefreshVerdict.REUSED:
        return row, None
    _end_reused(row, presented, moment, request)
    return None, TokenReusedError()


_REFUSALS: dict[SessionState, type[UnauthenticatedError]] = {
    SessionState.REVOKED: SessionRevokedError,
    SessionState.EXPIRED: TokenExpiredError,
}


def _end_reused(
    row: Session, presented: PresentedRefresh, moment: datetime, request: RequestInfo
) -> None:
    row.revoked_at = moment
    row.revoke_reason = RevokeReason.REUSE_DETECTED
    details = {
        "session_id": str(row.id),
        "presented_generation": presented.generation,
        "current_generation": row.generation,
    }
    user = ref_of(get_user(row.user_id))
    emit(SessionReuseDetected(subject=user, request=request, details=details))


def require_live(state: SessionState) -> None:
    """Raise what a token of a session in this state is answered with.

    Raises:
        SessionRevokedError, TokenExpiredError: the session does not count any more.
    """
    if state is not SessionState.LIVE:
        raise _REFUSALS[state]()


def end_session(
    user: UserRef,
    session_id: UUID,
    reason: RevokeReason,
    *,
    actor: Actor,
    request: RequestInfo,
) -> None:
    """End one live session of a user; its tokens are refused from now on.

    Raises:
        SessionNotFoundError: it is not theirs, is unknown, or has ended already.
    """
    with transaction() as session:
        result = session.execute(
            _revocation(reason, now()).where(Session.id == session_id, Session.user_id == user.id)
        )
        if result.rowcount != 1:  # type: ignore[attr-defined]
            raise SessionNotFoundError
        details = {"reason": reason, "session_id": str(session_id)}
        emit(SessionRevoked(actor=actor, subject=user, request=request, details=details))


def end_sessions(
    user: UserRef,
    reason: RevokeReason,
    *,
    actor: Actor,
    request: RequestInfo,
    keep: UUID | None = None,
) -> int:
    """End every session of a user, but for the one to `keep`.

    Returns:
        How many there were.
    """
    with transaction() as session:
        statement = _revocation(reason, now()).where(Session.user_id == user.id)
        if keep is not None:
            statement = statement.where(Session.id != keep)
        count: int = session.execute(statement).rowcount  # type: ignore[attr-defined]
        if count:
            details = {"reason": reason, "count": count}
            emit(SessionRevoked(actor=actor, subject=user, request=request, details=details))
    return count


def end_sessions_of_deactivated(event: UserDeactivated) -> None:
    """Handle a deactivation: no token of the account is good after it (ASVS 7.4.2)."""
    if event.subject is not None:
        end_sessions(
            event.subject, RevokeReason.DEACTIVATED, actor=event.actor, request=event.request
        )


def _revocation(reason: RevokeReason, moment: datetime) -> Update:
    return (
        update(Session)
        .where(Session.revoked_at.is_(None))
        .values(revoked_at=moment, revoke_reason=reason)
        .execution_options(synchronize_session=False)
    )


def _is_live(moment: datetime) -> ColumnElement[bool]:
    """`judge_session` as SQL."""
    return (
        Session.revoked_at.is_(None)
        & (Session.expires_at > moment)
        & (Session.idle_expires_at > moment)
    )


def find_live_sessions(user_id: UUID, *, limit: int, before: UUID | None = None) -> list[Session]:
    """The live sessions of a user, newest first.

    Args:
        before: only those older than this id, for the next page.
    """
    statement = (
        select(Session)
        .where(Session.user_id == user_id, _is_live(now()))
        .order_by(Session.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(Session.id < before)
    with transaction() as session:
        return list(session.scalars(statement))


PURGE_SLICE = 1_000
"""Rows deleted in one transaction, so that no lock is held for long (chosen, not measured)."""

PURGE_DELAY = timedelta(hours=1)
"""Dead sessions stay this long, far beyond any difference between the machines' clocks."""


def purge_dead_sessions() -> Iterator[int]:
    """Delete the sessions that can never count again, slice by slice.

    Yields:
        How many rows each committed slice deleted.
    """
    cutoff = now() - PURGE_DELAY
    is_dead = or_(
        Session.revoked_at < cutoff, Session.expires_at < cutoff, Session.idle_expires_at < cutoff
    )
    while True:
        with transaction() as session:
            ids = select(Session.id).where(is_dead).limit(PURGE_SLICE)
            statement = delete(Session).where(Session.id.in_(ids))
            result = session.execute(statement.execution_options(synchronize_session=False))
        count: int = result.rowcount  # type: ignore[attr-defined]
        if not count:
            return
        yield count
