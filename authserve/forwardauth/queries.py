"""The statement behind every proxied request: session, browser's session, user, roles, client.

A request without a session has another, which finds the client.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, String, and_, bindparam, select

from authserve.auth.queries import FoundSession, found_session, session_check
from authserve.clients.kinds import LIFETIMES, ClientKind
from authserve.clients.models import Client, ClientOrigin
from authserve.clients.registry import RegisteredClient, client_columns, client_of
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.statements import PreparedStatement, table_of
from authserve.database.transactions import read_all
from authserve.forwardauth.policy import SessionFacts
from authserve.sessions.models import Session
from authserve.sessions.statements import PARENT, PARENT_COLUMNS, find_parent_times
from authserve.settings.model import Settings

_SESSIONS, _CLIENTS, _ORIGINS = map(table_of, (Session, Client, ClientOrigin))

_PROXIED = PreparedStatement(
    session_check(
        _SESSIONS.c.cookie_digest,
        _SESSIONS.c.last_used_at,
        *PARENT_COLUMNS,
        _CLIENTS.c.client_id,
        _CLIENTS.c.name.label("client_name"),
        _CLIENTS.c.enabled,
        _CLIENTS.c.allowed_roles,
        _CLIENTS.c.role_prefix,
        _CLIENTS.c.min_acr,
        _CLIENTS.c.remote_user,
        _CLIENTS.c.refresh_idle_ttl,
    )
    .join(
        _ORIGINS,
        and_(
            _ORIGINS.c.client_id == _SESSIONS.c.client_id,
            _ORIGINS.c.origin == bindparam("origin", type_=String),
        ),
    )
    .join(_CLIENTS, _CLIENTS.c.client_id == _ORIGINS.c.client_id)
    .outerjoin(PARENT, PARENT.c.id == _SESSIONS.c.parent_id),
    name="proxied_check",
)


@frozen()
class ProxiedSession:
    """A session of the application at an origin as it was read, perhaps not live."""

    found: FoundSession

    @property
    def row(self) -> Row[Any]:
        """The columns of the session, the account, the browser's session and the client."""
        return self.found.row

    @property
    def idle_ttl(self) -> timedelta:
        """The time without a request after which it ends."""
        seconds = self.row.refresh_idle_ttl
        return LIFETIMES[ClientKind.PROXY].idle if seconds is None else timedelta(seconds=seconds)

    def facts(self, settings: Settings, now: datetime) -> SessionFacts:
        """Return the facts for the decision."""
        row, actor = self.row, self.found.actor
        asked = next((level for level in Level if level.acr == row.min_acr), Level.AAL1)
        return SessionFacts(
            own=row,
            parent=find_parent_times(row),
            is_user_active=row.is_active,
            level=actor.level,
            needed_level=max(asked, self.found.need(settings, now)),
            roles=actor.roles,
            allowed_roles=row.allowed_roles,
        )


def find_proxied_session(session_id: UUID, origin: str) -> ProxiedSession | None:
    """Return a session of the application at an origin; None for another application's, too."""
    rows = read_all(_PROXIED, {"session_id": session_id, "origin": origin})
    return ProxiedSession(found_session(rows)) if rows else None


_AT_ORIGIN = (
    select(*client_columns())
    .join_from(_CLIENTS, _ORIGINS, _ORIGINS.c.client_id == _CLIENTS.c.client_id)
    .where(_ORIGINS.c.origin == bindparam("origin", type_=String))
)


def find_client_of_origin(origin: str) -> RegisteredClient | None:
    """Return the client of the application at an origin, or None if there is none."""
    rows = read_all(_AT_ORIGIN, {"origin": origin})
    return client_of(rows[0]) if rows else None
