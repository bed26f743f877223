"""The statements that end sessions, with the listener that learns of ended sessions of apps.

Every use case that ends sessions calls this module, so that no app misses the end of a user's
session. Only three ends use `statements.revocation` directly, because no app learns of them: an
app's oldest session makes room for a new one; its client is deleted or revoked; or a user's own
oldest session makes room, and its event ends those of apps under it by this module.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement

from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.core.events import DomainEvent
from authserve.core.frozen import frozen
from authserve.database.transactions import execute
from authserve.sessions.policy import RevokeReason
from authserve.sessions.statements import TABLE, revocation


@frozen()
class EndedSession:
    """An app's session that the open transaction has ended."""

    id: UUID
    user_id: UUID
    client_id: str


Listener = Callable[[Sequence[EndedSession], bool], None]

APP_SESSIONS_ENDED = Slot[Listener]("app_sessions_ended")
"""Called in the transaction that ends sessions of apps, with True if none of their users' is left.

It is filled only if apps can have sessions.
"""


def end_where(
    is_it: ColumnElement[bool],
    reason: RevokeReason,
    *,
    now: datetime,
    is_everything: bool = False,
) -> int:
    """End the sessions that a condition selects, in the open transaction.

    Args:
        is_everything: True if the condition selects all sessions of each of its users.

    Returns:
        The number of sessions that had not been ended before.
    """
    statement = revocation(reason, now).where(is_it)
    listener = APP_SESSIONS_ENDED.find()
    if listener is None:
        return execute(statement).rowcount
    columns = (TABLE.c.id, TABLE.c.user_id, TABLE.c.client_id)
    rows = execute(statement.returning(*columns)).all()
    ended = [
        EndedSession(row.id, row.user_id, row.client_id)
        for row in rows
        if row.client_id is not None
    ]
    if ended:
        listener(ended, is_everything)
    return len(rows)


def end_all_where(
    is_it: ColumnElement[bool],
    reason: RevokeReason,
    *,
    now: datetime,
    is_everything: bool = False,
) -> int:
    """End sessions of users together with those of apps under them; see `end_where`.

    The users' own end first. A code that is redeemed at the same time holds its browser's session,
    so the second statement finds the app's session: in one UPDATE, PostgreSQL would miss a row that
    is inserted meanwhile (tried).
    """
    if APP_SESSIONS_ENDED.find() is None:
        return end_where(is_it, reason, now=now)
    is_own = TABLE.c.client_id.is_(None)
    # No RETURNING, because these may be a million rows.
    count = execute(revocation(reason, now).where(is_it, is_own)).rowcount
    return count + end_where(is_it & ~is_own, reason, now=now, is_everything=is_everything)


def end_app_sessions_of_deleted(event: DomainEvent) -> None:
    """Handle the deletion of an account: its rows go with it, but apps have to learn of it."""
    if event.subject is not None:
        is_it = (TABLE.c.user_id == event.subject.id) & TABLE.c.client_id.is_not(None)
        end_where(is_it, RevokeReason.DEACTIVATED, now=now(), is_everything=True)
