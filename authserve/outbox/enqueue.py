"""Enqueueing messages in the transaction of a use case."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import bindparam, insert, or_, update

from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.core.languages import request_locale
from authserve.core.logs import correlation_id_var
from authserve.database.statements import PreparedStatement, UTCDateTime, table_of
from authserve.database.transactions import execute_prepared, require_transaction
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import SUPERSEDED, MessageState

_MESSAGES = table_of(OutboxMessage)

_INSERT = PreparedStatement(insert(_MESSAGES), name="enqueue")
_DROP_TOPIC = PreparedStatement(
    update(_MESSAGES)
    .where(
        _MESSAGES.c.topic == bindparam("wanted"),
        or_(
            _MESSAGES.c.state == MessageState.PENDING,
            _MESSAGES.c.state == MessageState.DEAD,
        ),
    )
    .values(
        state=MessageState.DROPPED,
        finished_at=bindparam("moment", type_=UTCDateTime),
        leased_until=None,
        lease_id=None,
        last_error=SUPERSEDED,
    )
    .returning(_MESSAGES.c.id),
    name="drop_topic",
)


def enqueue(
    kind: str,
    payload: Mapping[str, Any],
    *,
    topic: str | None = None,
    user_id: UUID | None = None,
) -> UUID:
    """Enqueue a message, in the open transaction: it is sent if and only if that commits.

    The message carries the correlation id and, as `locale` in its payload, the language of the
    current request, if there is one.

    Args:
        kind: selects the handler that builds and delivers it.
        payload: the data that the handler needs; never a secret.
        topic: pending and given-up messages of the same topic are dropped.
        user_id: the user that it is about, if known.

    Returns:
        The message's id.
    """
    if topic is not None:
        drop_topic(topic)
    row = _row(kind, {**payload, "locale": request_locale()}, topic=topic, user_id=user_id)
    execute_prepared(_INSERT, row)
    message_id: UUID = row["id"]
    return message_id


def enqueue_all(kind: str, payloads: Collection[Mapping[str, Any]]) -> None:
    """Enqueue messages of a kind by one statement; see `enqueue`. No person reads them.

    Args:
        payloads: the data of each message; at least one.
    """
    rows = [_row(kind, payload, topic=None, user_id=None) for payload in payloads]
    require_transaction().execute(insert(OutboxMessage), rows)


def _row(
    kind: str, payload: Mapping[str, Any], *, topic: str | None, user_id: UUID | None
) -> dict[str, Any]:
    moment = now()
    return {
        "id": new_id(),
        "kind": kind,
        "topic": topic,
        "user_id": user_id,
        "payload": dict(payload),
        "state": MessageState.PENDING,
        "attempts": 0,
        "refusals": 0,
        "created_at": moment,
        "next_attempt_at": moment,
        "correlation_id": correlation_id_var.get(),
    }


def close_topic(topic: str, *, since: datetime) -> int:
    """Remove the topic from messages written since a time, in the open transaction.

    Returns:
        The number of messages, in every state. It does not depend on whether one was delivered,
        so callers may act on it without revealing that.
    """
    result = require_transaction().execute(
        update(OutboxMessage)
        .where(OutboxMessage.topic == topic, OutboxMessage.created_at >= since)
        .values(topic=None)
        .execution_options(synchronize_session=False)
    )
    return cast(int, result.rowcount)  # type: ignore[attr-defined]


def drop_topic(topic: str) -> int:
    """Drop the unsent messages of a topic, in the open transaction; return how many.

    Given-up messages are dropped too, or `flask outbox retry` could send a link that was withdrawn
    or replaced meanwhile: a message that no worker has tried yet has no token that is superseded.

    A worker that is about to deliver such a message locks it (`delivery.require_held`), so either
    the worker waits for this transaction or this transaction waits for the worker.
    """
    return len(execute_prepared(_DROP_TOPIC, {"wanted": topic, "moment": now()}))
