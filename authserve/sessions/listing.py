"""Queries that read sessions."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Row, Select, bindparam, func, select

from authserve.core.clock import now
from authserve.core.crypto import is_digest
from authserve.core.errors import SessionRevokedError
from authserve.core.frozen import frozen
from authserve.database.transactions import read_all
from authserve.sessions.models import Session
from authserve.sessions.policy import MAX_SESSIONS_PER_USER, require_live
from authserve.sessions.statements import TABLE, is_live


@frozen(kw_only=True)
class SessionView:
    """A session as its user sees it.

    Args:
        kind: see `policy.SessionKind`.
        expires_at, idle_expires_at: its two limits, of which the earlier one counts.
        amr: the authentication methods (RFC 8176).
        aal: its level (`core.levels.Level`).
        client_id: the app that holds it; None for the user's own.
        parent_id: the browser's session in which the user allowed the app.
        scope: what the app may do, in scope form.
        is_offline: True if it outlives the browser's session.
    """

    id: UUID
    kind: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    idle_expires_at: datetime
    ip: str | None
    user_agent: str | None
    amr: list[str]
    aal: int
    client_id: str | None
    parent_id: UUID | None
    scope: str | None
    is_offline: bool

    @property
    def scopes(self) -> tuple[str, ...]:
        """The names in `scope`."""
        return tuple((self.scope or "").split())


VIEW = select(*(TABLE.c[column.name] for column in fields(SessionView)))
"""SELECT of the columns of `SessionView`, without conditions."""


def _newest_live(*, has_before: bool) -> Select[*tuple[Any, ...]]:
    statement = VIEW.where(TABLE.c.user_id == bindparam("owner_id"), is_live(bindparam("now")))
    if has_before:
        statement = statement.where(TABLE.c.id < bindparam("before"))
    return statement.order_by(TABLE.c.id.desc()).limit(bindparam("row_limit", type_=Integer))


_FIRST, _NEXT = (_newest_live(has_before=has_before) for has_before in (False, True))
"""Statements of the first page and of those after it, built once, since building one takes longer
than running it (measured)."""


def find_live_sessions(
    user_id: UUID, *, limit: int, before: UUID | None = None
) -> list[SessionView]:
    """Return the live sessions of a user, newest first.

    Args:
        user_id: the user.
        limit: greatest number of sessions.
        before: only sessions older than this id, for the next page.
    """
    parameters: dict[str, Any] = {"owner_id": user_id, "now": now(), "row_limit": limit}
    if before is None:
        rows = read_all(_FIRST, parameters)
    else:
        rows = read_all(_NEXT, {**parameters, "before": before})
    return [SessionView(**row._mapping) for row in rows]


_OWN = _newest_live(has_before=False).where(TABLE.c.client_id.is_(None))


def find_own_sessions(user_id: UUID) -> list[SessionView]:
    """Return the live sessions of a user that no app holds, newest first."""
    parameters = {"owner_id": user_id, "now": now(), "row_limit": MAX_SESSIONS_PER_USER}
    return [SessionView(**row._mapping) for row in read_all(_OWN, parameters)]


def page_of_live_sessions(
    *, limit: int, before: UUID | None = None, user_ids: Sequence[UUID] | None = None
) -> Sequence[Row[Any]]:
    """Return live sessions of some users or of all, newest first.

    Args:
        limit: greatest number of sessions.
        before: only sessions older than this id, for the next page.
        user_ids: all users if None.
    """
    statement = select(Session.__table__).where(is_live(now())).limit(limit)
    if user_ids is not None:
        statement = statement.where(Session.user_id.in_(user_ids))
    if before is not None:
        statement = statement.where(Session.id < before)
    return read_all(statement.order_by(Session.id.desc()))


def find_all_sessions(
    user_id: UUID, *, limit: int, before: UUID | None = None
) -> Sequence[Row[Any]]:
    """Return a user's sessions that are not purged yet, live or not; see `find_live_sessions`."""
    statement = select(Session.__table__).where(Session.user_id == user_id)
    if before is not None:
        statement = statement.where(Session.id < before)
    return read_all(statement.order_by(Session.id.desc()).limit(limit))


def require_live_session(user_id: UUID, session_id: UUID, *, now: datetime) -> None:
    """Raise unless a user's session is live; in an open transaction, as of this statement.

    A transaction that holds the lock on the user's row so learns of every revocation that came with
    a change of the account: a new password, a removed factor, a deactivation.

    Raises:
        SessionRevokedError: the user has no such session, or it was ended.
        TokenExpiredError: its idle or absolute limit has passed.
    """
    mine = (TABLE.c.id == session_id) & (TABLE.c.user_id == user_id)
    times = select(TABLE.c.revoked_at, TABLE.c.expires_at, TABLE.c.idle_expires_at)
    rows = read_all(times.where(mine))
    if not rows:
        raise SessionRevokedError
    require_live(rows[0], now)


def is_of_family(session_id: UUID, family_secret: bytes) -> bool:
    """Return True if the secret that a refresh token carries is the session's own.

    The key that signs refresh tokens is not enough to compute it.
    """
    rows = read_all(select(Session.family_digest).where(Session.id == session_id))
    return any(is_digest(row.family_digest, family_secret) for row in rows)


def count_live_sessions(user_id: UUID) -> int:
    """Return the number of a user's live sessions."""
    statement = select(func.count()).where(Session.user_id == user_id, is_live(now()))
    return int(read_all(statement)[0][0])


def find_scopes_of_client(client_id: str) -> frozenset[str]:
    """Return the scopes of all sessions of an app that are kept, ended ones included."""
    rows = read_all(select(TABLE.c.scope).distinct().where(TABLE.c.client_id == client_id))
    return frozenset(scope for row in rows for scope in (row.scope or "").split())
