"""The check of a session: the SELECT behind an access token, and that behind a browser's cookie.

Each joins the tables of users, sessions and roles without the ORM, in AUTOCOMMIT: one round trip,
no BEGIN, no ROLLBACK.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Row,
    Select,
    String,
    bindparam,
    select,
)

from authserve.core.actor import Actor, UserRef
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.statements import PreparedStatement, table_of
from authserve.database.transactions import read_all
from authserve.http.callers import Account
from authserve.mfa.assurance import need_of
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import ADMIN_ROLE, roles_at_level
from authserve.sessions.models import Session
from authserve.sessions.policy import (
    SessionKind,
)
from authserve.settings.model import Settings
from authserve.tokens.access import LiveSession
from authserve.users.models import User

_SESSIONS, _USERS = table_of(Session), table_of(User)
_ROLES, _USER_ROLES = table_of(Role), table_of(UserRole)


OWNER_COLUMNS = (
    _USERS.c.id,
    _USERS.c.audit_id,
    _USERS.c.email,
    _USERS.c.email_verified,
    _USERS.c.username,
    _USERS.c.display_name,
    _USERS.c.locale,
    _USERS.c.is_active,
    _USERS.c.mfa_enabled,
    _USERS.c.created_at,
    _USERS.c.updated_at,
    _USERS.c.last_login_at,
    _ROLES.c.name.label("role_name"),
    _ROLES.c.permissions,
    _ROLES.c.requires_mfa,
)
"""The columns that `account_of` and `actor_of` read, of a user and one of the user's roles."""


def session_check(*columns: Any) -> Select[Any]:
    """Return the SELECT of a session with its user and roles, one row for each role.

    `oidc` joins the session's client to it, so that each of its calls needs one statement.

    Args:
        columns: further columns.
    """
    return (
        select(
            _SESSIONS.c.id.label("session_id"),
            _SESSIONS.c.generation,
            _SESSIONS.c.revoked_at,
            _SESSIONS.c.expires_at,
            _SESSIONS.c.idle_expires_at,
            _SESSIONS.c.amr,
            _SESSIONS.c.aal,
            _SESSIONS.c.auth_time,
            *OWNER_COLUMNS,
            *columns,
        )
        .join_from(_SESSIONS, _USERS, _USERS.c.id == _SESSIONS.c.user_id)
        .outerjoin(_USER_ROLES, _USER_ROLES.c.user_id == _USERS.c.id)
        .outerjoin(_ROLES, _ROLES.c.name == _USER_ROLES.c.role_name)
        .where(_SESSIONS.c.id == bindparam("session_id"))
    )


_TOKEN_CHECK = PreparedStatement(session_check(), name="token_check")

_COOKIE_CHECK = PreparedStatement(
    session_check(
        _SESSIONS.c.cookie_digest,
        _SESSIONS.c.previous_digest,
        _SESSIONS.c.cookie_rotated_at,
        _SESSIONS.c.is_remembered,
        _SESSIONS.c.last_used_at,
        _SESSIONS.c.created_at.label("started_at"),
        _USERS.c.activity_seen_at,
        _USERS.c.password_hash.is_not(None).label("has_password"),
    ).where(_SESSIONS.c.kind == bindparam("kind", type_=String)),
    name="cookie_check",
)


@frozen()
class FoundSession:
    """A session as the token check reads it, perhaps not live.

    Args:
        row: the columns of the session and the account.
        actor: the user in the form that use cases take.
        roles: names of all the user's roles, sorted.
    """

    row: Row[Any]
    actor: Actor
    roles: tuple[str, ...]

    def need(self, settings: Settings, now: datetime) -> Level:
        """Return the least level that a session of this account needs."""
        return need_of(mfa_enabled=self.row.mfa_enabled, settings=settings, now=now)

    @property
    def account(self) -> Account:
        """The account, for views."""
        return account_of(self.row, self.roles)

    def as_live(self, *, family_secret: bytes | None = None, is_retry: bool = False) -> LiveSession:
        """Return the session for tokens; the caller has checked that it is live."""
        row = self.row
        return LiveSession(
            id=row.session_id,
            user_id=row.id,
            generation=row.generation,
            ends_at=min(row.expires_at, row.idle_expires_at),
            level=self.actor.level,
            amr=tuple(row.amr),
            auth_time=row.auth_time,
            email_verified=row.email_verified,
            roles=self.actor.roles,
            family_secret=family_secret,
            is_retry=is_retry,
        )


def find_session(session_id: UUID) -> FoundSession | None:
    """Return a session with its user, roles and permissions, or None if it does not exist.

    The statement returns one row for each role.
    """
    rows = read_all(_TOKEN_CHECK, {"session_id": session_id})
    return found_session(rows) if rows else None


def find_session_of_browser(session_id: UUID) -> FoundSession | None:
    """Return a browser's session like `find_session`; its row has further columns."""
    rows = read_all(_COOKIE_CHECK, {"session_id": session_id, "kind": SessionKind.BROWSER.value})
    return found_session(rows) if rows else None


def found_session(rows: Sequence[Row[Any]]) -> FoundSession:
    """Return the session of the rows of a statement that `session_check` began; at least one."""
    first = rows[0]
    actor = actor_of(rows, level=Level(first.aal), session_id=first.session_id)
    return FoundSession(first, actor, names_of_roles(rows))


def actor_of(rows: Sequence[Row[Any]], *, level: Level, session_id: UUID | None = None) -> Actor:
    """Return the user of rows with `OWNER_COLUMNS`, one for each role, as a level lets them act.

    Args:
        rows: at least one.
        level: of the session, or of the API key.
        session_id: None for an API key.
    """
    first = rows[0]
    roles = roles_at_level(rows, level=level)
    return Actor(
        user=UserRef(first.id, first.audit_id),
        session_id=session_id,
        level=level,
        roles=roles.effective,
        permissions=roles.permissions,
        holds_everything=ADMIN_ROLE in roles.effective,
        sleeping_permissions=roles.sleeping_permissions,
        is_sleeping_admin=ADMIN_ROLE in roles.sleeping,
    )


def names_of_roles(rows: Sequence[Row[Any]]) -> tuple[str, ...]:
    """Return the names of all roles of the user of rows with `OWNER_COLUMNS`, sorted."""
    return tuple(sorted({row.role_name for row in rows if row.role_name is not None}))


def account_of(row: Row[Any], roles: tuple[str, ...]) -> Account:
    """Return the account of a row with `OWNER_COLUMNS`, for views.

    Args:
        roles: names of all the user's roles.
    """
    return Account(
        id=row.id,
        email=row.email,
        email_verified=row.email_verified,
        username=row.username,
        display_name=row.display_name,
        locale=row.locale,
        is_active=row.is_active,
        roles=roles,
        mfa_enabled=row.mfa_enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_login_at=row.last_login_at,
    )
