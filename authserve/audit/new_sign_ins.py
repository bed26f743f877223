"""Sign-ins from devices that were new to an account, and its user's answer: mine, or a stranger's.

The account's page asks about one sign-in after the other, the oldest first. An answer covers the
sign-ins up to the one that it names, so the account needs to keep no more than one time.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, String, Subquery, and_, bindparam, false, select

from authserve.audit.models import AuditDetail, AuditEvent
from authserve.auth.logout import end_other_grants
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.errors import NotFoundError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import UTCDateTime
from authserve.database.transactions import read_all, transaction
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session_if_live
from authserve.users.accounts import lock_user
from authserve.users.sign_ins import mark_activity_seen

QUESTION_AGE = timedelta(days=30)
"""Age from which on a sign-in is not asked about (chosen: as long as a session lives at most)."""

NEWEST_EVENTS = 500
"""Events of a user that are searched for such a sign-in, so that the page's cost is bounded, also
for an account that programs sign in to (chosen)."""


@frozen(kw_only=True)
class NewSignIn:
    """A sign-in from a device that was new to the account.

    Args:
        id: of its event.
    """

    id: UUID
    session_id: UUID
    occurred_at: datetime
    ip: str | None
    user_agent: str | None


def find_new_sign_in(
    user: UserRef, *, seen_at: datetime | None, asking_id: UUID, now: datetime
) -> NewSignIn | None:
    """Return the oldest sign-in from a new device that awaits an answer, by one SELECT.

    Args:
        user: the account.
        seen_at: the time up to which the user has answered; None if never.
        asking_id: the session that asks; its user knows of it.
        now: the current time.
    """
    parameters = {
        "audit_id": user.audit_id,
        "asking_id": str(asking_id),
        "oldest": max(now - QUESTION_AGE, seen_at or now - QUESTION_AGE),
    }
    return _as_sign_in(read_all(_FIND, parameters))


def answer_new_sign_in(
    event_id: UUID,
    *,
    is_own: bool,
    include: Collection[str] = (),
    actor: Actor,
    request: RequestInfo,
) -> None:
    """Record a user's answer to the question about a sign-in; end the session of a stranger.

    The first answer alone moves `activity_seen_at`, by a conditional UPDATE. A stranger's session
    ends also if the question was answered otherwise before, perhaps by that stranger.

    Args:
        event_id: of the sign-in.
        is_own: True if it was the user's own.
        include: names of grants to end because of a stranger; see `logout_everywhere`.
        actor: the user.

    Raises:
        NotFoundError: the user has no such sign-in.
        UserNotFoundError: the account is gone; only with `include`.
    """
    user = actor.signed_in_user
    parameters = {"audit_id": user.audit_id, "event_id": event_id}
    found = _as_sign_in(read_all(_GET, parameters))
    if found is None:
        raise NotFoundError
    with transaction():
        if include and not is_own:
            lock_user(user.id)
        # The first answer locks the user's row, so simultaneous ones wait for its end.
        is_first = mark_activity_seen(user.id, until=found.occurred_at)
        if is_own:
            return
        has_ended = end_session_if_live(
            user, found.session_id, RevokeReason.ENDED_BY_USER, actor=actor, request=request
        )
        if is_first or has_ended:
            emit(
                AuditAction.ACTIVITY_DISOWNED,
                actor=actor,
                subject=user,
                request=request,
                details={"session_id": str(found.session_id)},
            )
        end_other_grants(user.id, include, actor=actor, request=request)


_OWN_EVENTS = (
    select(
        AuditEvent.id,
        AuditEvent.occurred_at,
        AuditEvent.action,
        AuditDetail.ip,
        AuditDetail.user_agent,
        AuditDetail.details,
    )
    .outerjoin_from(AuditEvent, AuditDetail, AuditDetail.event_id == AuditEvent.id)
    .where(AuditEvent.subject_audit_id == bindparam("audit_id"))
)


def _is_new_sign_in(event: Subquery) -> ColumnElement[bool]:
    is_known = event.c.details["known_device"].as_boolean()
    return and_(event.c.action == AuditAction.SESSION_STARTED, is_known == false())


def _find_oldest() -> Select[Any]:
    # Within the limit, so that the newest details alone are read and searched.
    newest = _OWN_EVENTS.order_by(AuditEvent.id.desc()).limit(NEWEST_EVENTS).subquery()
    return (
        select(newest)
        .where(
            _is_new_sign_in(newest),
            newest.c.occurred_at > bindparam("oldest", type_=UTCDateTime),
            newest.c.details["session_id"].as_string() != bindparam("asking_id", type_=String),
        )
        .order_by(newest.c.id)
        .limit(1)
    )


def _get_one() -> Select[Any]:
    event = _OWN_EVENTS.where(AuditEvent.id == bindparam("event_id")).subquery()
    return select(event).where(_is_new_sign_in(event))


_FIND, _GET = _find_oldest(), _get_one()
"""Built once, since building a statement takes longer than running it (measured)."""


def _as_sign_in(rows: Sequence[Row[Any]]) -> NewSignIn | None:
    if not rows:
        return None
    row = rows[0]
    return NewSignIn(
        id=row.id,
        session_id=UUID(row.details["session_id"]),
        occurred_at=row.occurred_at,
        ip=row.ip,
        user_agent=row.user_agent,
    )
