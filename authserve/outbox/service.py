"""Writing messages down, claiming them, and saying what became of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, delete, insert, or_, select, update

from authserve.core.clock import now
from authserve.core.db import delete_in_slices, read_all, require_transaction, transaction
from authserve.core.ids import new_id
from authserve.outbox.errors import MessageNotFoundError, MessageNotRetryableError
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import (
    DEAD_RETENTION,
    LEASE,
    SENT_RETENTION,
    MessageState,
    is_given_up,
    next_attempt_at,
)

__all__ = ["MessageState", "OutboxMessage"]

MAX_ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMessage:
    """A message that is this worker's for the length of a lease."""

    id: UUID
    lease_id: UUID
    kind: str
    topic: str | None
    user_id: UUID | None
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int


def enqueue(
    kind: str,
    payload: Mapping[str, Any],
    *,
    topic: str | None = None,
    user_id: UUID | None = None,
) -> UUID:
    """Owe a message, in the open transaction: it is sent if and only if that commits.

    Args:
        kind: which handler builds and delivers it.
        payload: what the handler needs; never a secret.
        topic: older messages of the same topic that are not sent yet are dropped.
        user_id: whom it is about, where that is known.

    Returns:
        The message's id.
    """
    session, moment, message_id = require_transaction(), now(), new_id()
    if topic is not None:
        drop_topic(topic)
    session.execute(
        insert(OutboxMessage),
        {
            "id": message_id,
            "kind": kind,
            "topic": topic,
            "user_id": user_id,
            "payload": dict(payload),
            "state": MessageState.PENDING,
            "attempts": 0,
            "created_at": moment,
            "next_attempt_at": moment,
        },
    )
    return message_id


def drop_topic(topic: str) -> None:
    """Drop what is pending of a topic, in the open transaction."""
    _finish_where(
        (OutboxMessage.topic == topic) & (OutboxMessage.state == MessageState.PENDING),
        MessageState.DROPPED,
        "superseded by a newer request",
    )


def claim(kinds: Collection[str]) -> ClaimedMessage | None:
    """Take the message that has been due for longest, for the length of a lease.

    The claim is one conditional UPDATE: any number of workers on any number of machines never
    hold one message at the same time. PostgreSQL's workers pass each other's rows by.

    Args:
        kinds: those that the caller can deliver now.
    """
    moment, lease_id = now(), uuid4()
    due = (
        select(OutboxMessage.id)
        .where(
            OutboxMessage.state == MessageState.PENDING,
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
    )


def is_newest_of_topic(message: ClaimedMessage) -> bool:
    """Whether no later request has made this message pointless.

    Simultaneous requests cannot see each other, so more than one can be pending.
    """
    if message.topic is None:
        return True
    newer = select(OutboxMessage.id).where(
        OutboxMessage.topic == message.topic, OutboxMessage.id > message.id
    )
    return not read_all(newer.limit(1))


def mark_sent(message: ClaimedMessage) -> None:
    """Note that a claimed message was delivered."""
    _finish(message, MessageState.SENT, None)


def mark_dropped(message: ClaimedMessage, reason: str) -> None:
    """Note that a claimed message has become pointless."""
    _finish(message, MessageState.DROPPED, reason)


def mark_failed(message: ClaimedMessage, reason: str) -> MessageState:
    """Note that a claimed message could not be delivered.

    Returns:
        `PENDING` if it will be tried again, `DEAD` if it is given up.
    """
    moment = now()
    if is_given_up(message.created_at, moment):
        _finish(message, MessageState.DEAD, reason)
        return MessageState.DEAD
    with transaction() as session:
        session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message.id, OutboxMessage.lease_id == message.lease_id)
            .values(
                leased_until=None,
                lease_id=None,
                next_attempt_at=next_attempt_at(moment, attempts=message.attempts),
                last_error=reason[:MAX_ERROR_LENGTH],
            )
        )
    return MessageState.PENDING


def _finish(message: ClaimedMessage, state: MessageState, reason: str | None) -> None:
    with transaction():
        _finish_where(
            (OutboxMessage.id == message.id) & (OutboxMessage.lease_id == message.lease_id),
            state,
            reason,
        )


def _finish_where(condition: Any, state: MessageState, reason: str | None) -> None:
    require_transaction().execute(
        update(OutboxMessage)
        .where(condition)
        .values(
            state=state,
            finished_at=now(),
            leased_until=None,
            lease_id=None,
            last_error=reason and reason[:MAX_ERROR_LENGTH],
        )
        .execution_options(synchronize_session=False)
    )


def list_messages(*, state: MessageState | None = None, limit: int) -> list[Row[Any]]:
    """The newest messages, without their payload."""
    columns = (column for column in OutboxMessage.__table__.c if column.name != "payload")
    statement = select(*columns).order_by(OutboxMessage.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(OutboxMessage.state == state)
    return read_all(statement)


def find_messages_of(user_id: UUID, *, topics: Collection[str], limit: int) -> Sequence[Row[Any]]:
    """The newest messages about a user, or of topics that are known to be theirs.

    Returns:
        The columns of `OutboxMessage`.
    """
    statement = (
        select(OutboxMessage.__table__)
        .where(or_(OutboxMessage.user_id == user_id, OutboxMessage.topic.in_(topics)))
        .order_by(OutboxMessage.id.desc())
        .limit(limit)
    )
    return read_all(statement)


def delete_messages_of(user_id: UUID, *, topics: Collection[str]) -> None:
    """Forget the messages about a user, sent or not, in the open transaction."""
    is_theirs = or_(OutboxMessage.user_id == user_id, OutboxMessage.topic.in_(topics))
    statement = delete(OutboxMessage).where(is_theirs)
    require_transaction().execute(statement.execution_options(synchronize_session=False))


def get_message(message_id: UUID) -> OutboxMessage:
    """One message.

    Raises:
        MessageNotFoundError: there is none, or it has been cleared away.
    """
    with transaction() as session:
        found = session.get(OutboxMessage, message_id)
    if found is None:
        raise MessageNotFoundError
    return found


def retry(message_id: UUID) -> None:
    """Let the worker try a given-up message again, for another 24 hours.

    Raises:
        MessageNotFoundError: there is none.
        MessageNotRetryableError: it is not given up.
    """
    moment = now()
    with transaction() as session:
        result = session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id, OutboxMessage.state == MessageState.DEAD)
            .values(
                state=MessageState.PENDING,
                created_at=moment,
                next_attempt_at=moment,
                finished_at=None,
            )
        )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        get_message(message_id)
        raise MessageNotRetryableError


def purge_finished_messages() -> Iterator[int]:
    """Delete the messages that nobody will look at any more, slice by slice.

    Yields:
        How many rows each committed slice deleted.
    """
    moment = now()
    is_given_up_long_ago = (OutboxMessage.state == MessageState.DEAD) & (
        OutboxMessage.finished_at < moment - DEAD_RETENTION
    )
    is_done_long_ago = OutboxMessage.state.in_([MessageState.SENT, MessageState.DROPPED]) & (
        OutboxMessage.finished_at < moment - SENT_RETENTION
    )
    is_dead = is_given_up_long_ago | is_done_long_ago
    return delete_in_slices(OutboxMessage, OutboxMessage.id, is_dead)
