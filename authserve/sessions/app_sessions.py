"""The sessions that apps hold of one user: how one starts, which there are, and how they end."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, exists, insert, select

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.statements import UTCDateTime
from authserve.database.transactions import execute, read_all
from authserve.sessions.ending import end_where
from authserve.sessions.listing import VIEW, SessionView
from authserve.sessions.policy import MAX_SESSIONS_PER_APP, AppTerms, Authentication, RevokeReason
from authserve.sessions.statements import PARENT, TABLE, is_live

_APP_COLUMNS = (
    *("id", "user_id", "kind", "generation", "family_digest", "created_at", "last_used_at"),
    *("idle_expires_at", "expires_at", "ip", "user_agent", "client_id", "parent_id", "scope"),
    *("resource", "is_offline", "cookie_digest"),
)

_GIVEN = {
    name: bindparam(f"given_{name}", type_=TABLE.c[name].type)
    for name in ("amr", "aal", "auth_time")
}
"""The authentication of the authorization; NULL if it is not known."""

_IS_LEVEL_KEPT = PARENT.c.aal >= _GIVEN["aal"]
_IS_TIME_KEPT = PARENT.c.auth_time >= _GIVEN["auth_time"]

_COPIED_COLUMNS = {
    "amr": case((_IS_LEVEL_KEPT, _GIVEN["amr"]), else_=PARENT.c.amr),
    "aal": case((_IS_LEVEL_KEPT, _GIVEN["aal"]), else_=PARENT.c.aal),
    "auth_time": case((_IS_TIME_KEPT, _GIVEN["auth_time"]), else_=PARENT.c.auth_time),
    "provider": PARENT.c.provider,
}
"""Columns that an app's session takes from the authorization, or from the browser's session if that
is below it or the authorization's are not known. A proof after the authorization raises no app's
session: `auth_time` is when the authentication occurred (OpenID Connect Core §2)."""

_START_APP = (
    insert(TABLE)
    .from_select(
        [*_APP_COLUMNS, *_COPIED_COLUMNS],
        select(
            *(bindparam(f"new_{name}", type_=TABLE.c[name].type) for name in _APP_COLUMNS),
            *_COPIED_COLUMNS.values(),
        ).where(
            PARENT.c.id == bindparam("new_parent_id"),
            PARENT.c.user_id == bindparam("new_user_id"),
            PARENT.c.revoked_at.is_(None),
        ),
        include_defaults=False,
    )
    .returning(
        exists(
            select(TABLE.c.id)
            .where(
                TABLE.c.client_id == bindparam("held_by"),
                TABLE.c.user_id == bindparam("owner_id"),
                is_live(bindparam("moment", type_=UTCDateTime)),
            )
            .offset(MAX_SESSIONS_PER_APP - 1)
        ).label("may_be_too_many")
    )
)


def insert_app_session(
    session_id: UUID,
    user_id: UUID,
    *,
    family_secret: bytes,
    terms: AppTerms,
    request: RequestInfo,
    now: datetime,
) -> bool | None:
    """Insert a session of an app in the open transaction.

    Its level and its time of authentication are those of the terms, and never above those of the
    browser's session.

    Args:
        terms: name the browser's session, which the caller has locked and found live.

    Returns:
        True if the app may hold more than `MAX_SESSIONS_PER_APP` of this user now; None if the
        browser's session is none of the user's, and nothing was inserted.
    """
    values = {
        "id": session_id,
        "user_id": user_id,
        "kind": terms.kind.value,
        "generation": 0,
        "family_digest": digest(family_secret),
        "created_at": now,
        "last_used_at": now,
        "idle_expires_at": terms.idle_expires_at,
        "expires_at": terms.expires_at,
        "ip": request.ip,
        "user_agent": request.user_agent,
        "client_id": terms.client_id,
        "parent_id": terms.parent_id,
        "scope": " ".join(terms.scopes),
        "resource": terms.resource,
        "is_offline": terms.is_offline,
        "cookie_digest": terms.cookie_digest,
    }
    parameters = {f"new_{name}": value for name, value in values.items()}
    held = {"held_by": terms.client_id, "owner_id": user_id, "moment": now}
    given = _given(terms.authentication)
    rows = execute(_START_APP, {**parameters, **given, **held}).all()
    return rows[0].may_be_too_many if rows else None


def _given(authentication: Authentication | None) -> dict[str, Any]:
    if authentication is None:
        return {"given_amr": None, "given_aal": None, "given_auth_time": None}
    return {
        "given_amr": list(authentication.amr),
        "given_aal": authentication.level,
        "given_auth_time": authentication.auth_time,
    }


def find_app_sessions(user_id: UUID) -> list[SessionView]:
    """Return the sessions that apps hold of a user and can still use, newest first.

    An app has at most `MAX_SESSIONS_PER_APP`; one that needs the browser's session ends with it.
    """
    moment = now()
    is_parent_live = is_live(moment, of=PARENT)
    statement = (
        VIEW.outerjoin(PARENT, PARENT.c.id == TABLE.c.parent_id)
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
