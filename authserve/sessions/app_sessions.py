"""The sessions that apps hold of one user: which there are, and how they end."""

from uuid import UUID

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import read_all
from authserve.sessions.ending import end_where
from authserve.sessions.listing import VIEW, SessionView
from authserve.sessions.policy import RevokeReason
from authserve.sessions.statements import TABLE, is_live

_PARENT = TABLE.alias("parent")


def find_app_sessions(user_id: UUID) -> list[SessionView]:
    """Return the sessions that apps hold of a user and can still use, newest first.

    An app has at most `MAX_SESSIONS_PER_APP`; one that needs the browser's session ends with it.
    """
    moment = now()
    is_parent_live = is_live(moment, of=_PARENT)
    statement = (
        VIEW.outerjoin(_PARENT, _PARENT.c.id == TABLE.c.parent_id)
        .where(TABLE.c.user_id == user_id, TABLE.c.client_id.is_not(None), is_live(moment))
        .where(TABLE.c.is_offline | is_parent_live)
        .order_by(TABLE.c.id.desc())
    )
    return [SessionView(**row._mapping) for row in read_all(statement)]


def end_sessions_of_apps(
    user: UserRef,
    reason: RevokeReason,
    *,
    client_id: str | None,
    actor: Actor,
    request: RequestInfo,
) -> int:
    """End a user's sessions of an app, in the open transaction.

    Args:
        client_id: the app; None for all apps.

    Returns:
        The number of sessions that had not been ended before.
    """
    is_it = TABLE.c.client_id.is_not(None) if client_id is None else TABLE.c.client_id == client_id
    count = end_where((TABLE.c.user_id == user.id) & is_it, reason, now=now())
    if count:
        named = {} if client_id is None else {"client_id": client_id}
        details = {"reason": reason, **named, "count": count}
        emit(
            AuditAction.SESSION_REVOKED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )
    return count
