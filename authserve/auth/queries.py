"""The token check: all that a request needs to know of its session, in one statement.

It is the one place that joins the tables of several features. It runs on every authenticated
request, in AUTOCOMMIT and without the ORM: one round trip, no BEGIN, no ROLLBACK.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from authserve.core.actor import Actor, UserRef
from authserve.core.db import read_all
from authserve.core.planning import planned_once
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import ADMIN_ROLE, from_scopes
from authserve.sessions.models import Session
from authserve.users.models import User

_TOKEN_CHECK = planned_once(
    select(
        Session.id.label("session_id"),
        Session.revoked_at,
        Session.expires_at,
        Session.idle_expires_at,
        Session.amr,
        Session.auth_time,
        User.id,
        User.audit_id,
        User.email,
        User.email_verified,
        User.username,
        User.display_name,
        User.is_active,
        User.mfa_enabled,
        User.created_at,
        User.updated_at,
        User.last_login_at,
        Role.name.label("role_name"),
        Role.permissions,
    )
    .join_from(Session, User, User.id == Session.user_id)
    .outerjoin(UserRole, UserRole.user_id == User.id)
    .outerjoin(Role, Role.name == UserRole.role_name)
    .where(Session.id == bindparam("session_id")),
    name="token_check",
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """A session, its user and what the user may do, as they are at this moment.

    Args:
        row: the columns of the session and the account.
        actor: the user as services take it.
    """

    row: Row[Any]
    actor: Actor


def find_sign_in(session_id: UUID) -> SignIn | None:
    """Look a session up with its user, role names and permissions; one row for each role."""
    rows = read_all(_TOKEN_CHECK, {"session_id": session_id})
    return _sign_in(rows) if rows else None


def _sign_in(rows: Sequence[Row[Any]]) -> SignIn:
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
    return SignIn(first, actor)
