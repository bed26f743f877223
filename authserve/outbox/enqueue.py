"""Writing down what is owed, with the use case that owes it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import insert, update

from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.core.logs import correlation_id_var
from authserve.database.transactions import require_transaction
from authserve.outbox.delivery import finish_where
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import SUPERSEDED, MessageState


def enqueue(
    kind: str,
    payload: Mapping[str, Any],
    *,
    topic: str | None = None,
    user_id: UUID | None = None,
) -> UUID:
    """Owe a message, in the open transaction: it is sent if and only if that commits.

    The message carries the id of the request that is being handled, if there is one.

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
            "correlation_id": correlation_id_var.get(),
        },
    )
    return message_id


def close_topic(topic: str, *, since: datetime) -> int:
    """Take messages out of a topic that is over, whatever became of them, in the open transaction.

    Returns:
        How many there were since then. It is the same whether or not one could be delivered, so a
        caller may be told.
    """
    result = require_transaction().execute(
        update(OutboxMessage)
        .where(OutboxMessage.topic == topic, OutboxMessage.created_at >= since)
        .values(topic=None)
        .execution_options(synchronize_session=False)
    )
    return cast(int, result.rowcount)  # type: ignore[attr-defined]


def drop_topic(topic: str) -> int:
    """Drop what is pending of a topic, in the open transaction; return how many messages.

    A worker that is about to deliver such a message waits for this transaction or is waited for:
    see `delivering.require_held`.
    """
    is_pending = (OutboxMessage.topic == topic) & (OutboxMessage.state == MessageState.PENDING)
    return finish_where(is_pending, MessageState.DROPPED, SUPERSEDED)
