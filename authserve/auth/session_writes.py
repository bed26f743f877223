"""Statements that start and rotate a session, and return what its tokens say of the user.

Each is one statement without the ORM, and joins the tables of users, sessions and roles.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    ScalarSelect,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from authserve.core.actor import RequestInfo
from authserve.core.crypto import digest
from authserve.core.errors import SessionRevokedError
from authserve.core.levels import Level
from authserve.database.server_clock import server_now, shared_time
from authserve.database.statements import PreparedStatement, UTCDateTime, table_of
from authserve.database.transactions import execute_prepared, write_repeatably
from authserve.mfa.assurance import Enough
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import effective_roles
from authserve.sessions.models import Session
from authserve.sessions.policy import (
    CLOCK_TOLERANCE,
    MAX_SESSIONS_PER_USER,
    SessionTerms,
)
from authserve.sessions.statements import is_live, is_own_of
from authserve.tokens.access import LiveSession
from authserve.tokens.refresh import RefreshClaims
from authserve.users.models import User

_SESSIONS, _USERS = table_of(Session), table_of(User)
_ROLES, _USER_ROLES = table_of(Role), table_of(UserRole)

_MOMENT = bindparam("moment", type_=UTCDateTime)


def _of_owner(column: Any) -> ScalarSelect[Any]:
    # Not by the session's own column: for SQLite, SQLAlchemy omits table names in RETURNING, so
    # `user_id = user_id` would match every row of `user_roles`.
    return select(column).where(_USERS.c.id == bindparam("owner_id")).scalar_subquery()


_SEPARATOR: Any = literal_column("' '")
"""Separates names of roles, which hold no space (`rbac.policy.ROLE_NAME_PATTERN`). A prepared
statement needs it as a literal in its text."""


def _roles_of_owner(*, requires_mfa: bool) -> ScalarSelect[Any]:
    flag = _ROLES.c.requires_mfa if requires_mfa else ~_ROLES.c.requires_mfa
    return (
        select(func.aggregate_strings(_ROLES.c.name, _SEPARATOR))
        .join_from(_USER_ROLES, _ROLES, _ROLES.c.name == _USER_ROLES.c.role_name)
        .where(_USER_ROLES.c.user_id == bindparam("owner_id"), flag)
        .scalar_subquery()
    )


_OF_OWNER = (
    _of_owner(_USERS.c.email_verified).label("email_verified"),
    _roles_of_owner(requires_mfa=False).label("roles"),
    _roles_of_owner(requires_mfa=True).label("roles_with_mfa"),
)
"""The user's part of an access token."""

_LIVE = select(_SESSIONS.c.id).where(is_own_of(bindparam("owner_id")), is_live(_MOMENT))

_START = PreparedStatement(
    insert(_SESSIONS).returning(
        *_OF_OWNER, exists(_LIVE.offset(MAX_SESSIONS_PER_USER - 1)).label("may_be_too_many")
    ),
    name="session_start",
)


def insert_session(
    session_id: UUID,
    user_id: UUID,
    *,
    found: Enough,
    family_secret: bytes,
    request: RequestInfo,
    terms: SessionTerms,
    now: datetime,
    auth_time: datetime,
    provider: str | None,
) -> tuple[LiveSession, bool]:
    """Insert a session in the open transaction.

    Args:
        found: its level and authentication methods.
        family_secret: of its refresh tokens. A browser's session gets one too, which no token
            carries, because the column has no empty value.
        terms: its kind and limits.
        request, now, auth_time, provider: see `start_session`.

    Returns:
        The session, and True if the user may have more than `MAX_SESSIONS_PER_USER` live ones.
        So most sign-ins need no second statement. On a database whose subquery counts the new
        session, it is True one session early.
    """
    parameters = {
        "id": session_id,
        "user_id": user_id,
        "kind": terms.kind,
        "generation": 0,
        "family_digest": digest(family_secret),
        "created_at": now,
        "last_used_at": now,
        "idle_expires_at": terms.idle_expires_at,
        "expires_at": terms.expires_at,
        "cookie_digest": terms.cookie_digest,
        "is_remembered": terms.is_remembered,
        "ip": request.ip,
        "user_agent": request.user_agent,
        "amr": list(found.amr),
        "aal": found.level,
        "auth_time": auth_time,
        "provider": provider,
        "owner_id": user_id,
        "moment": now,
    }
    (row,) = execute_prepared(_START, parameters)
    session = LiveSession(
        id=session_id,
        user_id=user_id,
        generation=0,
        ends_at=terms.idle_expires_at,
        level=found.level,
        amr=found.amr,
        auth_time=auth_time,
        email_verified=row.email_verified,
        roles=_roles(row, found.level),
        family_secret=family_secret,
    )
    return session, row.may_be_too_many


def _roles(row: Row[Any], level: Level) -> tuple[str, ...]:
    """Return the effective roles of a row that has the columns of `_OF_OWNER`."""
    always, with_mfa = (row.roles or "").split(), (row.roles_with_mfa or "").split()
    return effective_roles(always, with_mfa, level=level)


_IDLE_LIMIT = bindparam("idle_limit", type_=UTCDateTime)
_GRACE_START = bindparam("grace_start", type_=UTCDateTime)
_CLOCK_LIMIT = bindparam("clock_limit", type_=UTCDateTime)


def _is_past_grace() -> ColumnElement[bool]:
    """Return `not sessions.policy.is_within_grace` as SQL."""
    return or_(
        _SESSIONS.c.rotated_at.is_(None),
        _SESSIONS.c.rotated_at < shared_time(_GRACE_START, _MOMENT),
        _SESSIONS.c.rotated_at > shared_time(_CLOCK_LIMIT, _MOMENT),
    )


def _has_level() -> ColumnElement[bool]:
    """Return, as SQL, that a session has the level that `assurance.need_of` finds for its user."""
    is_one_factor_enough = _of_owner(~_USERS.c.mfa_enabled) & ~bindparam(
        "is_mfa_required", type_=Boolean
    )
    return or_(_SESSIONS.c.aal >= Level.AAL2, is_one_factor_enough)


_ROTATION = PreparedStatement(
    update(_SESSIONS)
    .where(
        _SESSIONS.c.id == bindparam("session_id"),
        _SESSIONS.c.user_id == bindparam("owner_id"),
        _SESSIONS.c.generation == bindparam("presented_generation"),
        _SESSIONS.c.family_digest == bindparam("presented_digest"),
        _is_past_grace(),
        _has_level(),
        is_live(_MOMENT),
    )
    .values(
        generation=_SESSIONS.c.generation + 1,
        rotated_at=server_now(_MOMENT),
        last_used_at=_MOMENT,
        idle_expires_at=case(
            (_SESSIONS.c.expires_at < _IDLE_LIMIT, _SESSIONS.c.expires_at), else_=_IDLE_LIMIT
        ),
    )
    .returning(
        _SESSIONS.c.generation,
        _SESSIONS.c.expires_at,
        _SESSIONS.c.idle_expires_at,
        _SESSIONS.c.amr,
        _SESSIONS.c.aal,
        _SESSIONS.c.auth_time,
        *_OF_OWNER,
        _of_owner(_USERS.c.is_active).label("is_active"),
    ),
    name="session_rotation",
)
"""UPDATE that advances a session by one generation. It is built once: building it took a quarter of
all function calls of a refresh (measured)."""


def rotate_session(
    claims: RefreshClaims,
    *,
    grace: timedelta,
    idle_ttl: timedelta,
    is_mfa_required: bool,
    now: datetime,
) -> LiveSession | None:
    """Advance the session of a refresh token by one generation, and commit.

    One conditional UPDATE decides, so exactly one of several simultaneous callers advances the
    session. A concurrent revocation locks the same row, so the second sees the first.

    Args:
        grace: see `sessions.policy.check_refresh`.
        idle_ttl: the time without a refresh after which the session ends.
        is_mfa_required: True if the settings ask every account for two factors.
        now: the time of the refresh.

    Returns:
        The session; None if the token does not rotate it, so nothing changed.

    Raises:
        SessionRevokedError: the user is not active.
    """
    parameters = {
        "session_id": claims.session_id,
        "owner_id": claims.user_id,
        "presented_generation": claims.generation,
        "presented_digest": digest(claims.family_secret),
        "moment": now,
        "grace_start": now - grace,
        "clock_limit": now + CLOCK_TOLERANCE,
        "idle_limit": now + idle_ttl,
        "is_mfa_required": is_mfa_required,
    }
    # If the UPDATE runs twice, the second run is one generation behind, and within the grace.
    rows = write_repeatably(_ROTATION, parameters)
    if not rows:
        return None
    row = rows[0]
    if not row.is_active:
        raise SessionRevokedError
    level = Level(row.aal)
    return LiveSession(
        id=claims.session_id,
        user_id=claims.user_id,
        generation=row.generation,
        ends_at=min(row.expires_at, row.idle_expires_at),
        level=level,
        amr=tuple(row.amr),
        auth_time=row.auth_time,
        email_verified=row.email_verified,
        roles=_roles(row, level),
        family_secret=claims.family_secret,
    )
