"""Statements that join several features' tables: the token check, and the data of access tokens.

Each is one statement without the ORM. A token check and a refresh need only this one, in
AUTOCOMMIT: one round trip, no BEGIN, no ROLLBACK.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, ScalarSelect, bindparam, func, select

from authserve.core.actor import Actor, UserRef
from authserve.database.prepared import prepared
from authserve.database.transactions import read_all, table_of
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import ADMIN_ROLE, from_scopes
from authserve.sessions.models import Session
from authserve.sessions.rotate import ADVANCE
from authserve.sessions.start import BEGIN
from authserve.users.models import User

_SESSIONS, _USERS = table_of(Session), table_of(User)
_ROLES, _USER_ROLES = table_of(Role), table_of(UserRole)

_TOKEN_CHECK = prepared(
    select(
        _SESSIONS.c.id.label("session_id"),
        _SESSIONS.c.revoked_at,
        _SESSIONS.c.expires_at,
        _SESSIONS.c.idle_expires_at,
        _SESSIONS.c.amr,
        _SESSIONS.c.auth_time,
        _USERS.c.id,
        _USERS.c.audit_id,
        _USERS.c.email,
        _USERS.c.email_verified,
        _USERS.c.username,
        _USERS.c.display_name,
        _USERS.c.is_active,
        _USERS.c.mfa_enabled,
        _USERS.c.created_at,
        _USERS.c.updated_at,
        _USERS.c.last_login_at,
        _ROLES.c.name.label("role_name"),
        _ROLES.c.permissions,
    )
    .join_from(_SESSIONS, _USERS, _USERS.c.id == _SESSIONS.c.user_id)
    .outerjoin(_USER_ROLES, _USER_ROLES.c.user_id == _USERS.c.id)
    .outerjoin(_ROLES, _ROLES.c.name == _USER_ROLES.c.role_name)
    .where(_SESSIONS.c.id == bindparam("session_id")),
    name="token_check",
)


def _of_owner(column: Any) -> ScalarSelect[Any]:
    # Not by the session's own column: for SQLite, SQLAlchemy omits table names in RETURNING, so
    # `user_id = user_id` would match every row of `user_roles`.
    return select(column).where(_USERS.c.id == bindparam("owner_id")).scalar_subquery()


_ROLES_SEPARATOR = " "
"""A character that no role's name contains (`rbac.policy.ROLE_NAME_PATTERN`)."""

_OF_HOLDER = (
    _of_owner(_USERS.c.is_active).label("is_active"),
    _of_owner(_USERS.c.email_verified).label("email_verified"),
    select(func.aggregate_strings(_USER_ROLES.c.role_name, _ROLES_SEPARATOR))
    .where(_USER_ROLES.c.user_id == bindparam("owner_id"))
    .scalar_subquery()
    .label("roles"),
)

START = BEGIN.returning(*_OF_HOLDER)
ROTATION = prepared(ADVANCE.returning(*_OF_HOLDER), name="session_rotation")
"""Statements that start or rotate a session and return the data of its access token. `START` is not
prepared: it runs in a transaction, which could not continue if the connection had lost the prepared
statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSubject:
    """The user and session that an access token is for, with the data of its claims.

    Args:
        expires_at: the nearer limit of the session; the token must not outlive it.
    """

    user_id: UUID
    session_id: UUID
    expires_at: datetime
    amr: Sequence[str]
    auth_time: datetime
    email_verified: bool
    roles: Sequence[str]


def find_subject(row: Row[Any]) -> TokenSubject | None:
    """Return the holder of a row of `START` or `ROTATION`; None if the user is not active."""
    return _holder(row, row.id, row.user_id, (row.roles or "").split()) if row.is_active else None


def _holder(row: Row[Any], session_id: UUID, user_id: UUID, roles: Iterable[str]) -> TokenSubject:
    return TokenSubject(
        user_id=user_id,
        session_id=session_id,
        expires_at=min(row.expires_at, row.idle_expires_at),
        amr=row.amr,
        auth_time=row.auth_time,
        email_verified=row.email_verified,
        roles=sorted(roles),
    )


@dataclass(frozen=True, slots=True)
class LiveSession:
    """The current state of a session, its user and the user's permissions.

    Args:
        row: the columns of the session and the account.
        actor: the user in the form that use cases take.
    """

    row: Row[Any]
    actor: Actor

    @property
    def holder(self) -> TokenSubject:
        """The holder of another access token of the session."""
        return _holder(self.row, self.row.session_id, self.row.id, self.actor.roles)


def find_live_session(session_id: UUID) -> LiveSession | None:
    """Return a session with its user, roles and permissions, or None if it does not exist.

    The statement returns one row for each role.
    """
    rows = read_all(_TOKEN_CHECK, {"session_id": session_id})
    return _sign_in(rows) if rows else None


def _sign_in(rows: Sequence[Row[Any]]) -> LiveSession:
    first = rows[0]
    held = [row for row in rows if row.role_name is not None]
    roles = tuple(sorted(row.role_name for row in held))
    actor = Actor(
        user=UserRef(first.id, first.audit_id),
        session_id=first.session_id,
        roles=roles,
        permissions=from_scopes(row.permissions for row in held),
        holds_everything=ADMIN_ROLE in roles,
    )
    return LiveSession(first, actor)
