"""The statement behind every token of an app: its session, user, roles, client and parent session.

It is one SELECT that also finds the secret that the client presents, so a call of userinfo needs
this statement alone, and a refresh one more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, select

from authserve.auth.queries import FoundSession, found_session, session_check
from authserve.clients.authentication import (
    IS_PRESENTED_SECRET,
    SECRET_COLUMNS,
    ClientCredentials,
    authenticated_client,
)
from authserve.clients.configuration import OFFLINE_SCOPE
from authserve.clients.models import Client, ClientSecret
from authserve.clients.registry import RegisteredClient, client_columns, client_of
from authserve.core.actor import UserRef
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.server_clock import server_now
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import execute, read_all
from authserve.oidc.models import AuthorizationCode, UserConsent
from authserve.oidc.policy import Consent
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import RolesAtLevel, roles_at_level
from authserve.sessions.models import Session
from authserve.sessions.policy import Authentication, SessionState, check_session
from authserve.sessions.statements import PARENT, PARENT_COLUMNS, find_parent_times
from authserve.settings.model import Settings
from authserve.users.models import User

_CLIENTS, _SECRETS, _SESSIONS, _USERS = map(table_of, (Client, ClientSecret, Session, User))
_CODES, _ROLES, _USER_ROLES = map(table_of, (AuthorizationCode, Role, UserRole))
_CONSENTS = table_of(UserConsent)

_MOMENT = bindparam("moment", type_=UTCDateTime)

_GRANT = (
    session_check(
        _SESSIONS.c.scope,
        _SESSIONS.c.resource,
        _SESSIONS.c.is_offline,
        _USERS.c.locale,
        *PARENT_COLUMNS,
        _CONSENTS.c.scope.label("consented"),
        *client_columns(),
        *SECRET_COLUMNS,
    )
    .join(_CLIENTS, _CLIENTS.c.client_id == _SESSIONS.c.client_id)
    .outerjoin(_SECRETS, IS_PRESENTED_SECRET)
    .outerjoin(PARENT, PARENT.c.id == _SESSIONS.c.parent_id)
    .outerjoin(
        _CONSENTS,
        (_CONSENTS.c.user_id == _SESSIONS.c.user_id)
        & (_CONSENTS.c.client_id == _SESSIONS.c.client_id),
    )
    .where(_CLIENTS.c.deleted_at.is_(None))
)


@frozen(kw_only=True)
class FoundGrant:
    """The session of an app as it was read, perhaps not live.

    Args:
        found: the session with its user and roles.
        client: its client, perhaps disabled.
        scopes: what the user granted.
        consent: what the user allows the client now; None without one.
        resource: the audience of its access tokens; None means the issuer.
    """

    found: FoundSession
    client: RegisteredClient
    scopes: tuple[str, ...]
    consent: Consent | None
    resource: str | None

    @property
    def row(self) -> Row[Any]:
        """The columns of the session, the account and the client."""
        return self.found.row

    def is_live(self, now: datetime) -> bool:
        """Return True if the session is live, and the browser's too if it needs that one."""
        row = self.row
        if not row.is_active or check_session(row, now) is not SessionState.LIVE:
            return False
        return self._is_offline or _is_parent_live(row, now)

    @property
    def _is_offline(self) -> bool:
        """True if it outlives the browser's session; its client may have lost that scope since."""
        return self.row.is_offline and OFFLINE_SCOPE in self.client.configuration.scopes

    def need(self, settings: Settings, now: datetime) -> Level:
        """Return the least level that the account and the client need."""
        return max(self.found.need(settings, now), self.client.configuration.min_level)

    def has_level(self, settings: Settings, now: datetime) -> bool:
        """Return True if the session has the level that its account and its client need."""
        return Level(self.row.aal) >= self.need(settings, now)


def _is_parent_live(row: Row[Any], now: datetime) -> bool:
    times = find_parent_times(row)
    return times is not None and check_session(times, now) is SessionState.LIVE


def find_grant(session_id: UUID, *, now: datetime) -> FoundGrant | None:
    """Return the session of an app, or None if it does not exist."""
    rows = _read_grant(session_id, b"", now)
    return _grant_of(rows) if rows else None


def find_grant_of(
    session_id: UUID, credentials: ClientCredentials, *, now: datetime
) -> tuple[FoundGrant, RegisteredClient | None] | None:
    """Return a session of the client that presents credentials, and that client if they prove it.

    Returns:
        None if the client has no such session; the credentials were not verified then.
    """
    rows = _read_grant(session_id, credentials.secret_digest, now)
    if not rows or rows[0].client_client_id != credentials.client_id:
        return None
    return _grant_of(rows), authenticated_client(rows[0], credentials, now=now)


def _read_grant(session_id: UUID, secret_digest: bytes, now: datetime) -> Sequence[Row[Any]]:
    parameters = {"session_id": session_id, "secret_digest": secret_digest, "moment": now}
    return read_all(_GRANT, parameters)


def _grant_of(rows: Sequence[Row[Any]]) -> FoundGrant:
    return FoundGrant(
        found=found_session(rows),
        client=client_of(rows[0]),
        scopes=tuple((rows[0].scope or "").split()),
        consent=to_consent(rows[0].consented),
        resource=rows[0].resource,
    )


@frozen()
class HintedSession:
    """The session of an app that a hint names, live or ended.

    Args:
        parent_id: of the browser's session, which may be purged.
    """

    user: UserRef
    parent_id: UUID


def find_hinted_session(session_id: UUID, user_id: UUID) -> HintedSession | None:
    """Return a user's session of an app, or None if it does not exist (any more)."""
    rows = read_all(
        select(_SESSIONS.c.parent_id, _USERS.c.id, _USERS.c.audit_id)
        .join_from(_SESSIONS, _USERS, _USERS.c.id == _SESSIONS.c.user_id)
        .where(
            _SESSIONS.c.id == session_id,
            _SESSIONS.c.user_id == user_id,
            _SESSIONS.c.parent_id.is_not(None),
        )
    )
    return HintedSession(UserRef(rows[0].id, rows[0].audit_id), rows[0].parent_id) if rows else None


def to_consent(scope: str | None) -> Consent | None:
    """Return the consent that a column holds, in scope form; None without one."""
    return None if scope is None else Consent(scopes=frozenset(scope.split()))


@frozen(kw_only=True)
class FoundCode:
    """A code of a client, perhaps used or expired, with its user's row locked.

    Args:
        used_at, shared_now: by the clock that all machines share.
        session_id: of the session that its use made.
        authentication: of the authorization; None in a code of the release before, which starts
            its session with that of the browser's at its use.
    """

    user: UserRef
    is_user_active: bool
    parent_id: UUID
    redirect_uri: str
    code_challenge: str | None
    scopes: tuple[str, ...]
    resource: str | None
    nonce: str | None
    expires_at: datetime
    used_at: datetime | None
    session_id: UUID | None
    shared_now: datetime
    authentication: Authentication | None


_CODE = (
    select(
        *(column for column in _CODES.c if column.name not in ("digest", "user_id", "scope")),
        _CODES.c.scope.label("code_scope"),
        _USERS.c.id.label("user_id"),
        _USERS.c.audit_id,
        _USERS.c.is_active,
        server_now(_MOMENT).label("shared_now"),
    )
    .join_from(_CODES, _USERS, _USERS.c.id == _CODES.c.user_id)
    .where(
        and_(
            _CODES.c.digest == bindparam("presented_digest"),
            _CODES.c.client_id == bindparam("presented_id"),
        )
    )
    .with_for_update(of=_USERS)
)


def lock_user_of_code(code: str, client_id: str, *, now: datetime) -> FoundCode | None:
    """Return a client's code with its user, locked until the open transaction ends; or None.

    Every change that ends sessions locks the user's row first, so it comes before this transaction
    or after it.
    """
    parameters = {
        "presented_digest": digest(code.encode()),
        "presented_id": client_id,
        "moment": now,
    }
    rows = execute(_CODE, parameters).all()
    if not rows:
        return None
    row = rows[0]
    return FoundCode(
        user=UserRef(row.user_id, row.audit_id),
        is_user_active=row.is_active,
        parent_id=row.parent_id,
        redirect_uri=row.redirect_uri,
        code_challenge=row.code_challenge,
        scopes=tuple(row.code_scope.split()),
        resource=row.resource,
        nonce=row.nonce,
        expires_at=row.expires_at,
        used_at=row.used_at,
        session_id=row.session_id,
        shared_now=row.shared_now,
        authentication=_authentication_of(row),
    )


def _authentication_of(row: Row[Any]) -> Authentication | None:
    if row.aal is None:
        return None
    return Authentication(level=Level(row.aal), amr=tuple(row.amr), auth_time=row.auth_time)


def find_roles(user_id: UUID, level: Level) -> RolesAtLevel:
    """Return the roles of a user by the effect that they would have at a level."""
    rows = read_all(
        select(_ROLES.c.name.label("role_name"), _ROLES.c.permissions, _ROLES.c.requires_mfa)
        .join_from(_USER_ROLES, _ROLES, _ROLES.c.name == _USER_ROLES.c.role_name)
        .where(_USER_ROLES.c.user_id == user_id)
    )
    return roles_at_level(rows, level=level)
