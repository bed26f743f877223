"""Listing, counting, retrying and deleting messages."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, exists, func, or_, select, union, update

from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.database.transactions import (
    delete_in_slices,
    read_all,
    require_transaction,
    transaction,
)
from authserve.outbox.errors import MessageNotFoundError, MessageNotRetryableError
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import DEAD_RETENTION, SENT_RETENTION, MessageState


def list_messages(*, state: MessageState | None = None, limit: int) -> list[Row[Any]]:
    """Return the newest messages, newest first, without their payload."""
    columns = (column for column in OutboxMessage.__table__.c if column.name != "payload")
    statement = select(*columns).order_by(OutboxMessage.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(OutboxMessage.state == state)
    return read_all(statement)


def is_owed_since(kind: str, user_id: UUID, *, since: datetime) -> bool:
    """Return True if a message of a kind about a user was written after `since`."""
    conditions = (
        OutboxMessage.user_id == user_id,
        OutboxMessage.kind == kind,
        OutboxMessage.created_at > since,
    )
    return bool(read_all(select(exists().where(*conditions)))[0][0])


def find_newest_payload(topic: str, *, since: datetime) -> Mapping[str, Any] | None:
    """Return the data of the newest message of a topic that was written since a time.

    It does not depend on the message's state, so callers may show it without revealing whether the
    message was delivered.

    Returns:
        None if there is no such message.
    """
    statement = (
        select(OutboxMessage.payload)
        .where(OutboxMessage.topic == topic, OutboxMessage.created_at >= since)
        .order_by(OutboxMessage.id.desc())
        .limit(1)
    )
    rows = read_all(statement)
    return cast("Mapping[str, Any]", rows[0].payload) if rows else None


@frozen()
class PendingMessages:
    """The pending messages of a kind with one value in their payload.

    Args:
        count: at most `PENDING_LIMIT`.
        oldest: the time at which the first was written; None without any.
        last_error: of the newest one that was tried; None if none was.
    """

    count: int
    oldest: datetime | None
    last_error: str | None


PENDING_LIMIT = 10_000
"""Limits the rows that `find_pending` reads (chosen)."""


def find_pending(kind: str, *, name: str, value: str) -> PendingMessages:
    """Return the pending messages of a kind in whose payload a name has a value.

    The query reads the pending messages alone, of which there are few.
    """
    statement = (
        select(OutboxMessage.created_at, OutboxMessage.last_error)
        .where(
            OutboxMessage.state == MessageState.PENDING,
            OutboxMessage.kind == kind,
            OutboxMessage.payload[name].as_string() == value,
        )
        .order_by(OutboxMessage.created_at)
        .limit(PENDING_LIMIT)
    )
    rows = read_all(statement)
    errors = [row.last_error for row in rows if row.last_error is not None]
    oldest = rows[0].created_at if rows else None
    return PendingMessages(len(rows), oldest, errors[-1] if errors else None)


def find_oldest_pending() -> datetime | None:
    """Return when the oldest pending message was created, or None if none is pending."""
    pending = OutboxMessage.state == MessageState.PENDING
    ((oldest,),) = read_all(select(func.min(OutboxMessage.created_at)).where(pending))
    return cast("datetime | None", oldest)


@frozen()
class MessageCount:
    """The number of messages in a state, and when the oldest of them was created."""

    count: int = 0
    oldest: datetime | None = None


def count_unfinished_messages() -> dict[MessageState, MessageCount]:
    """Count pending and given-up messages by state: those an operator may have to act on."""
    return _count_by_state((MessageState.PENDING, MessageState.DEAD))


def count_finished_messages(*, since: datetime) -> dict[MessageState, MessageCount]:
    """Count the messages created since a time that were sent or dropped, by state."""
    return _count_by_state(
        (MessageState.SENT, MessageState.DROPPED), OutboxMessage.created_at >= since
    )


def _count_by_state(
    states: Collection[MessageState], *conditions: ColumnElement[bool]
) -> dict[MessageState, MessageCount]:
    """Count messages by state, reading one index range a state; 0 for a state without any."""
    statement = (
        select(
            OutboxMessage.state,
            func.count().label("messages"),
            func.min(OutboxMessage.created_at).label("oldest"),
        )
        .where(OutboxMessage.state.in_(states), *conditions)
        .group_by(OutboxMessage.state)
    )
    found = {
        MessageState(row.state): MessageCount(row.messages, row.oldest)
        for row in read_all(statement)
    }
    return {state: found.get(state, MessageCount()) for state in states}


def find_messages_of(user_id: UUID, *, topics: Collection[str], limit: int) -> Sequence[Row[Any]]:
    """Return the newest messages about a user, or of topics that belong to them.

    For operators: the rows show the state of each message. The query reads one index range for
    the user and one for each topic.

    Returns:
        At most `limit` rows with the columns of `OutboxMessage`, newest first.
    """
    owners = [OutboxMessage.user_id == user_id, *(OutboxMessage.topic == each for each in topics)]
    branches = [
        select(OutboxMessage.id).where(owner).order_by(OutboxMessage.id.desc()).limit(limit)
        for owner in owners
    ]
    newest = union(*(select(branch.subquery()) for branch in branches)).subquery()
    statement = (
        select(OutboxMessage.__table__)
        .join_from(newest, OutboxMessage, OutboxMessage.id == newest.c.id)
        .order_by(OutboxMessage.id.desc())
        .limit(limit)
    )
    return read_all(statement)


def find_messages_to(
    user_id: UUID, *, limit: int, before: UUID | None = None
) -> Sequence[Row[Any]]:
    """Return at most `limit` messages about a user, newest first.

    A message that was requested by address is included once the worker has found its user.

    Args:
        before: only messages older than this id, for the next page.
    """
    statement = select(OutboxMessage.__table__).where(OutboxMessage.user_id == user_id)
    if before is not None:
        statement = statement.where(OutboxMessage.id < before)
    return read_all(statement.order_by(OutboxMessage.id.desc()).limit(limit))


def delete_messages_of(user_id: UUID, *, topics: Collection[str]) -> None:
    """Delete all messages about a user, in every state, in the open transaction."""
    statement = delete(OutboxMessage).where(_is_about(user_id, topics))
    require_transaction().execute(statement.execution_options(synchronize_session=False))


def _is_about(user_id: UUID, topics: Collection[str]) -> ColumnElement[bool]:
    return or_(OutboxMessage.user_id == user_id, OutboxMessage.topic.in_(topics))


def get_message(message_id: UUID) -> OutboxMessage:
    """Return one message.

    Raises:
        MessageNotFoundError: it does not exist, or it has been purged.
    """
    with transaction() as session:
        found = session.get(OutboxMessage, message_id)
    if found is None:
        raise MessageNotFoundError
    return found


def retry(message_id: UUID) -> None:
    """Let the worker retry a given-up message, for another 24 hours.

    Raises:
        MessageNotFoundError: it does not exist.
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
                refusals=0,
            )
            .execution_options(synchronize_session=False)
        )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        get_message(message_id)
        raise MessageNotRetryableError


def purge_finished_messages() -> Iterator[int]:
    """Delete finished messages whose retention has passed, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
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
