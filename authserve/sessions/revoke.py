"""Revocation of sessions, and deletion of dead ones."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, or_, select

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now, to_rfc3339
from authserve.core.events import AuditAction, DomainEvent
from authserve.database.emit import emit
from authserve.database.statements import UTCDateTime
from authserve.database.transactions import PURGE_SLICE, execute, read_all, transaction
from authserve.sessions.ending import end_all_where, end_where
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.models import Session
from authserve.sessions.policy import (
    MAX_SESSIONS_PER_APP,
    MAX_SESSIONS_PER_USER,
    RevokeReason,
)
from authserve.sessions.statements import TABLE, is_live, is_own_of, revocation


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
        SessionNotFoundError: the user has no such session, or it has ended or expired already.
    """
    with transaction():
        if not end_session_if_live(user, session_id, reason, actor=actor, request=request):
            raise SessionNotFoundError


def end_session_if_live(
    user: UserRef,
    session_id: UUID,
    reason: RevokeReason,
    *,
    actor: Actor,
    request: RequestInfo,
) -> bool:
    """End one session of a user, in the open transaction.

    Returns:
        False if the user has no such session, or it has ended or expired already.
    """
    moment = now()
    is_it = (TABLE.c.id == session_id) & (TABLE.c.user_id == user.id) & is_live(moment)
    if end_where(is_it, reason, now=moment) != 1:
        return False
    details = {"reason": reason, "session_id": str(session_id)}
    emit(AuditAction.SESSION_REVOKED, actor=actor, subject=user, request=request, details=details)
    return True


def end_sessions(
    user: UserRef,
    reason: RevokeReason,
    *,
    actor: Actor,
    request: RequestInfo,
    keep: UUID | None = None,
) -> int:
    """End every session of a user except `keep` and those of apps that hang under it.

    Expired sessions are ended too, because another machine's clock may be behind this one's.

    Returns:
        The number of sessions that had not been ended before.
    """
    with transaction():
        is_it = TABLE.c.user_id == user.id
        if keep is not None:
            is_not_below = or_(TABLE.c.parent_id.is_(None), TABLE.c.parent_id != keep)
            is_it = and_(is_it, TABLE.c.id != keep, is_not_below)
        count = end_all_where(is_it, reason, now=now(), is_everything=keep is None)
        if count:
            details = {"reason": reason, "count": count}
            emit(
                AuditAction.SESSION_REVOKED,
                actor=actor,
                subject=user,
                request=request,
                details=details,
            )
    return count


_MOMENT = bindparam("moment", type_=UTCDateTime)

_END_OLDEST_OF_APP = revocation(RevokeReason.EVICTED, _MOMENT).where(
    TABLE.c.id.in_(
        select(TABLE.c.id)
        .where(
            TABLE.c.client_id == bindparam("held_by"),
            TABLE.c.user_id == bindparam("owner_id"),
            is_live(_MOMENT),
        )
        .order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc())
        .offset(MAX_SESSIONS_PER_APP)
    )
)


def end_oldest_sessions_of_app(user: UserRef, client_id: str, *, now: datetime) -> None:
    """End a user's oldest sessions of an app over `MAX_SESSIONS_PER_APP`, in the open transaction.

    An app that never signs its users out would otherwise fill the table, so it is no event.
    """
    execute(_END_OLDEST_OF_APP, {"held_by": client_id, "owner_id": user.id, "moment": now})


def end_online_sessions(event: DomainEvent) -> None:
    """Handle the end of one session: end the sessions of apps that hang under it, but offline ones.

    The parent has ended before, in a statement of its own: in one UPDATE, PostgreSQL would miss a
    session that is inserted meanwhile (tried).
    """
    parent_id = event.details.get("session_id")
    if parent_id is None or event.subject is None:
        return
    reason = RevokeReason(event.details["reason"])
    is_online = (TABLE.c.parent_id == UUID(parent_id)) & ~TABLE.c.is_offline
    count = end_where(is_online, reason, now=now())
    if count:
        emit(
            AuditAction.SESSION_REVOKED,
            actor=event.actor,
            subject=event.subject,
            request=event.request,
            details={"reason": reason, "parent_id": parent_id, "count": count},
        )


_END_OLDEST = (
    revocation(RevokeReason.EVICTED, _MOMENT)
    .where(
        TABLE.c.id.in_(
            select(TABLE.c.id)
            .where(is_own_of(bindparam("owner_id")), is_live(_MOMENT))
            .order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc())
            .offset(MAX_SESSIONS_PER_USER)
        )
    )
    .returning(TABLE.c.id)
)
"""Built once, like all statements of a sign-in: building them took a third of a sign-in's time
without the hash (measured)."""


def end_oldest_sessions(
    user: UserRef, *, actor: Actor, request: RequestInfo, now: datetime
) -> None:
    """End the oldest live sessions over `MAX_SESSIONS_PER_USER`, in the open transaction."""
    ended = execute(_END_OLDEST, {"owner_id": user.id, "moment": now}).scalars().all()
    for session_id in sorted(ended):
        details = {"reason": RevokeReason.EVICTED, "session_id": str(session_id)}
        emit(
            AuditAction.SESSION_REVOKED, actor=actor, subject=user, request=request, details=details
        )


def end_sessions_of_deactivated(event: DomainEvent) -> None:
    """Handle a deactivation: end all sessions of the account (ASVS 7.4.2)."""
    if event.subject is not None:
        end_sessions(
            event.subject, RevokeReason.DEACTIVATED, actor=event.actor, request=event.request
        )


def end_other_sessions(event: DomainEvent) -> None:
    """Handle a new password: end all sessions of the account except the one that set it."""
    if event.subject is not None:
        end_sessions(
            event.subject,
            RevokeReason.PASSWORD_CHANGED,
            actor=event.actor,
            request=event.request,
            keep=event.actor.session_id,
        )


def end_sessions_issued_before(
    moment: datetime,
    *,
    user: UserRef | None = None,
    is_everything: bool = False,
    actor: Actor,
    request: RequestInfo,
) -> int:
    """End all sessions that began before `moment`, of one user or of all users.

    Use it after restoring a backup, in which ended sessions may be live again.

    Args:
        is_everything: True if no session of these users began later.

    Returns:
        The number of sessions that had not been ended before.
    """
    reason = RevokeReason.ENDED_BY_ADMIN
    is_it = TABLE.c.created_at < moment
    if user is not None:
        is_it = and_(is_it, TABLE.c.user_id == user.id)
    with transaction():
        count = end_all_where(is_it, reason, now=now(), is_everything=is_everything)
        if count:
            details = {"reason": reason, "count": count, "issued_before": to_rfc3339(moment)}
            emit(
                AuditAction.SESSION_REVOKED,
                actor=actor,
                subject=user,
                request=request,
                details=details,
            )
    return count


def end_sessions_of_provider(slug: str, *, actor: Actor, request: RequestInfo) -> int:
    """End all sessions that were begun by a provider, with those of apps under them.

    Use it if another person may have signed in by the provider in the place of its users.

    Returns:
        The number of sessions that had not been ended before.
    """
    reason = RevokeReason.ENDED_BY_ADMIN
    with transaction():
        count = end_all_where(TABLE.c.provider == slug, reason, now=now())
        if count:
            details = {"reason": reason, "count": count, "provider": slug}
            emit(AuditAction.SESSION_REVOKED, actor=actor, request=request, details=details)
    return count


def end_sessions_of_client(client_id: str, reason: RevokeReason, *, now: datetime) -> int:
    """End every session of a client, of all users, in the open transaction.

    The caller emits the event: it concerns the client, which gets no logout tokens.

    Returns:
        The number of sessions that had not been ended before.
    """
    return execute(revocation(reason, now).where(Session.client_id == client_id)).rowcount


PURGE_DELAY = timedelta(hours=1)
"""Time that dead sessions are kept, far longer than any difference between the machines' clocks."""


def purge_dead_sessions() -> Iterator[int]:
    """Delete the sessions that ended or expired more than `PURGE_DELAY` ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    cutoff = now() - PURGE_DELAY
    is_dead = or_(
        TABLE.c.revoked_at < cutoff, TABLE.c.expires_at < cutoff, TABLE.c.idle_expires_at < cutoff
    )
    # No index serves the condition, since each refresh would have to write it. So each slice
    # begins after the last id of the one before, and the table is read once. The reads stay
    # outside the transactions, so that SQLite's write lock is held for the deletions alone.
    dead = select(TABLE.c.id).where(is_dead).order_by(TABLE.c.id).limit(PURGE_SLICE)
    last = UUID(int=0)
    while rows := read_all(dead.where(TABLE.c.id > last)):
        with transaction():
            deletion = delete(TABLE).where(TABLE.c.id.in_([row.id for row in rows]))
            count = execute(deletion).rowcount
        yield count
        last = rows[-1].id
