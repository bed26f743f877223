"""Writing down what is owed, with the use case that owes it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from authserve.core.clock import now
from authserve.core.db import require_transaction
from authserve.core.ids import new_id
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import SUPERSEDED, MessageState
from authserve.outbox.service.delivering import finish_where


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


def drop_topic(topic: str) -> int:
    """Drop what is pending of a topic, in the open transaction; return how many messages.

    A worker that is about to deliver such a message waits for this transaction or is waited for:
    see `delivering.require_held`.
    """
    is_pending = (OutboxMessage.topic == topic) & (OutboxMessage.state == MessageState.PENDING)
    return finish_where(is_pending, MessageState.DROPPED, SUPERSEDED)
