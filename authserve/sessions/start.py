"""Start of a session, and renewal of its authentication."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, exists, insert, select, update

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.crypto import digest, random_bytes
from authserve.core.errors import SessionRevokedError
from authserve.core.events import AuditAction
from authserve.core.ids import new_id
from authserve.database.emit import emit
from authserve.database.transactions import (
    AnyReturning,
    UTCDateTime,
    require_transaction,
    transaction,
)
from authserve.sessions.policy import MAX_SESSIONS_PER_USER, RevokeReason
from authserve.sessions.statements import (
    FAMILY_SECRET_BYTES,
    ISSUED_COLUMNS,
    TABLE,
    IssuedSession,
    is_live,
    revocation,
)
from authserve.settings.model import SETTINGS


@dataclass(frozen=True, slots=True)
class Start:
    """A started session.

    Args:
        session: the session, ready for tokens.
        row: the row that `begin` returned.
    """

    session: IssuedSession
    row: Row[Any]


def start_session(
    user: UserRef, *, amr: Sequence[str], request: RequestInfo, begin: AnyReturning
) -> Start:
    """Start a session in the open transaction, which must hold the lock on the user's row.

    If the user has more than `MAX_SESSIONS_PER_USER` live sessions then, the oldest are ended.

    Args:
        user: the owner of the session.
        amr: authentication methods (RFC 8176), for example `["pwd"]`.
        request: for the session's row and the audit events.
        begin: `BEGIN`, or a copy that returns more columns.
    """
    settings, moment = SETTINGS.get(), now()
    family_secret = random_bytes(FAMILY_SECRET_BYTES)
    expires_at = moment + settings.session_ttl
    issued = IssuedSession(
        id=new_id(),
        user_id=user.id,
        generation=0,
        expires_at=expires_at,
        refresh_expires_at=min(moment + settings.refresh_idle_ttl, expires_at),
        amr=list(amr),
        auth_time=moment,
        family_secret=family_secret,
    )
    actor = Actor(user=user, session_id=issued.id)
    row = require_transaction().execute(begin, _parameters(issued, request)).one()
    if row.may_be_too_many:
        _evict_oldest(actor, user, moment, request)
    details = {"session_id": str(issued.id), "amr": list(amr)}
    emit(AuditAction.SESSION_STARTED, actor=actor, subject=user, request=request, details=details)
    return Start(issued, row)


_MOMENT = bindparam("moment", type_=UTCDateTime)

_LIVE = select(TABLE.c.id).where(TABLE.c.user_id == bindparam("owner_id"), is_live(_MOMENT))

BEGIN = insert(TABLE).returning(
    *ISSUED_COLUMNS, exists(_LIVE.offset(MAX_SESSIONS_PER_USER - 1)).label("may_be_too_many")
)
"""INSERT of a session. `may_be_too_many` is true from `MAX_SESSIONS_PER_USER` live sessions on, so
most sign-ins need no second statement. One database counts the new session and the other does not;
at worst the second statement evicts none. The caller adds the columns that it needs; the parameter
`owner_id` is the user."""

_EVICT_OLDEST = (
    revocation(RevokeReason.EVICTED, _MOMENT)
    .where(
        TABLE.c.id.in_(
            _LIVE.order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc()).offset(
                MAX_SESSIONS_PER_USER
            )
        )
    )
    .returning(TABLE.c.id)
)
"""Built once, like all statements of a sign-in: building them took a third of a sign-in's time
without the hash (measured)."""


def _parameters(issued: IssuedSession, request: RequestInfo) -> dict[str, Any]:
    return {
        "id": issued.id,
        "user_id": issued.user_id,
        "generation": issued.generation,
        "family_digest": digest(issued.family_secret),
        "created_at": issued.auth_time,
        "last_used_at": issued.auth_time,
        "idle_expires_at": issued.refresh_expires_at,
        "expires_at": issued.expires_at,
        "ip": request.ip,
        "user_agent": request.user_agent,
        "amr": issued.amr,
        "auth_time": issued.auth_time,
        "owner_id": issued.user_id,
        "moment": issued.auth_time,
    }


def _evict_oldest(actor: Actor, user: UserRef, moment: datetime, request: RequestInfo) -> None:
    parameters = {"owner_id": user.id, "moment": moment}
    evicted = require_transaction().execute(_EVICT_OLDEST, parameters).scalars().all()
    for session_id in sorted(evicted):
        details = {"reason": RevokeReason.EVICTED, "session_id": str(session_id)}
        emit(
            AuditAction.SESSION_REVOKED, actor=actor, subject=user, request=request, details=details
        )


def renew_authentication(
    user: UserRef, session_id: UUID, *, actor: Actor, request: RequestInfo
) -> None:
    """Record that the user of a live session has just reauthenticated.

    Raises:
        SessionRevokedError: the session has ended or expired meanwhile.
    """
    moment = now()
    with transaction() as session:
        result = session.execute(
            update(TABLE)
            .where(TABLE.c.id == session_id, TABLE.c.user_id == user.id, is_live(moment))
            .values(auth_time=moment)
        )
        if result.rowcount != 1:  # type: ignore[attr-defined]
            raise SessionRevokedError
        details = {"session_id": str(session_id)}
        emit(
            AuditAction.SESSION_REAUTHENTICATED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )
