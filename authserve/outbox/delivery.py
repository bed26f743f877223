"""Claiming messages, and recording the outcome of each delivery."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, literal, or_, select, update

from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.database.sqlite_hints import for_partial_index_on_sqlite
from authserve.database.transactions import read_all, require_transaction, transaction
from authserve.outbox.errors import DroppedError
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import (
    LEASE,
    MAX_REFUSALS,
    REFUSAL_PAUSE,
    SUPERSEDED,
    MessageState,
    is_given_up,
    next_attempt_at,
)

MAX_ERROR_LENGTH = 200
"""Characters that the column `last_error` holds."""


@frozen(kw_only=True)
class ClaimedMessage:
    """A message that one worker has claimed for the length of a lease."""

    id: UUID
    lease_id: UUID
    kind: str
    topic: str | None
    user_id: UUID | None
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int
    refusals: int = 0
    correlation_id: str | None = None


def claim(kinds: Collection[str]) -> ClaimedMessage | None:
    """Claim the message that has been due for longest, for the length of a lease.

    The claim is one conditional UPDATE, so two workers never hold one message at the same time,
    even on different machines. On PostgreSQL workers skip rows that another worker is claiming.

    Args:
        kinds: the kinds that the caller can deliver now.

    Returns:
        The message, or None if none is due.
    """
    moment, lease_id = now(), uuid4()
    # A partial index serves a statement on SQLite only if its condition is there as a literal.
    pending = literal(MessageState.PENDING, literal_execute=True)
    due = (
        select(OutboxMessage.id)
        .where(
            for_partial_index_on_sqlite(OutboxMessage.state == pending),
            OutboxMessage.kind.in_(kinds),
            OutboxMessage.next_attempt_at <= moment,
            or_(OutboxMessage.leased_until.is_(None), OutboxMessage.leased_until <= moment),
        )
        .order_by(OutboxMessage.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        update(OutboxMessage)
        .where(OutboxMessage.id == due)
        .values(
            lease_id=lease_id,
            leased_until=moment + LEASE,
            attempts=OutboxMessage.attempts + 1,
        )
        .returning(OutboxMessage)
        .execution_options(synchronize_session=False)
    )
    with transaction() as session:
        row = session.scalar(statement)
    return None if row is None else _claimed(row, lease_id)


def _claimed(row: OutboxMessage, lease_id: UUID) -> ClaimedMessage:
    return ClaimedMessage(
        id=row.id,
        lease_id=lease_id,
        kind=row.kind,
        topic=row.topic,
        user_id=row.user_id,
        payload=row.payload,
        created_at=row.created_at,
        attempts=row.attempts,
        refusals=row.refusals,
        correlation_id=row.correlation_id,
    )


def is_newest_of_topic(message: ClaimedMessage) -> bool:
    """Return True if no later message of its topic is pending.

    Simultaneous requests cannot see each other's messages, so several can be pending. A message
    that was sent or dropped does not count: if the clocks of two machines differ, it may be the
    older one.
    """
    if message.topic is None:
        return True
    newer = select(OutboxMessage.id).where(
        OutboxMessage.topic == message.topic,
        OutboxMessage.id > message.id,
        OutboxMessage.state == MessageState.PENDING,
    )
    return not read_all(newer.limit(1))


def require_held(message: ClaimedMessage) -> None:
    """Lock a claimed message, in the open transaction; raise if the worker no longer holds it.

    A transaction that wants to drop the message waits for this one, and then sees its writes.

    Raises:
        DroppedError: it was dropped meanwhile, or the lease expired and another worker has it.
    """
    held = (
        select(OutboxMessage.id)
        .where(OutboxMessage.id == message.id, OutboxMessage.lease_id == message.lease_id)
        .with_for_update()
    )
    if require_transaction().scalar(held) is None:
        raise DroppedError(SUPERSEDED)


def assign_user(message: ClaimedMessage, user_id: UUID) -> None:
    """Record which user a claimed message is about, if the message does not name one yet."""
    if message.user_id is not None:
        return
    with transaction() as session:
        session.execute(
            update(OutboxMessage)
            .where(_is_held(message))
            .values(user_id=user_id)
            .execution_options(synchronize_session=False)
        )


def delete_held(message: ClaimedMessage) -> None:
    """Delete a claimed message that has done its work, in the open transaction.

    Raises:
        DroppedError: the worker no longer holds it: the lease expired and another worker has it.
    """
    result = require_transaction().execute(
        delete(OutboxMessage).where(_is_held(message)).execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise DroppedError(SUPERSEDED)


def mark_sent(message: ClaimedMessage) -> None:
    """Record that a claimed message was delivered."""
    _finish(message, MessageState.SENT, None)


def mark_dropped(message: ClaimedMessage, reason: str) -> None:
    """Record that a claimed message was dropped because it has become pointless."""
    _finish(message, MessageState.DROPPED, reason)


def mark_failed(
    message: ClaimedMessage, reason: str, *, is_permanent: bool = False, is_final: bool = False
) -> MessageState:
    """Record that a claimed message could not be delivered.

    Args:
        reason: for the operator; cut to 200 characters.
        is_permanent: True if the server refused it for good; a message gets `MAX_REFUSALS` such
            tries.
        is_final: True to give it up at once.

    Returns:
        `PENDING` if it will be retried, `DEAD` if it is given up.
    """
    moment, refusals = now(), message.refusals + is_permanent
    is_over = is_final or refusals >= MAX_REFUSALS
    if is_over or is_given_up(message.created_at, moment):
        _finish(message, MessageState.DEAD, reason)
        return MessageState.DEAD
    with transaction() as session:
        session.execute(
            update(OutboxMessage)
            .where(_is_held(message))
            .values(
                leased_until=None,
                lease_id=None,
                next_attempt_at=moment + REFUSAL_PAUSE
                if is_permanent
                else next_attempt_at(moment, attempts=message.attempts),
                refusals=refusals,
                last_error=reason[:MAX_ERROR_LENGTH],
            )
            .execution_options(synchronize_session=False)
        )
    return MessageState.PENDING


def _finish(message: ClaimedMessage, state: MessageState, reason: str | None) -> None:
    with transaction() as session:
        session.execute(
            update(OutboxMessage)
            .where(_is_held(message))
            .values(
                state=state,
                finished_at=now(),
                leased_until=None,
                lease_id=None,
                last_error=reason and reason[:MAX_ERROR_LENGTH],
            )
            .execution_options(synchronize_session=False)
        )


def _is_held(message: ClaimedMessage) -> ColumnElement[bool]:
    """Return the condition that the worker still holds the lease; another may have claimed it."""
    return (OutboxMessage.id == message.id) & (OutboxMessage.lease_id == message.lease_id)
