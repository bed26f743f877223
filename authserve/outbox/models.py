"""The tables of messages and of the workers' heartbeat."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.ids import new_id
from authserve.database.statements import Base, UTCDateTime, key_string, partial_index

TOPIC_MAX_LENGTH = 320


HEARTBEAT_ID = 1


class WorkerHeartbeat(Base):
    """The time at which a worker was last alive: one row for all workers."""

    __tablename__ = "worker_heartbeats"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)


class OutboxMessage(Base):
    """One message; the row is kept for some days after delivery, for inspection.

    Of the messages with one `topic` only the newest is delivered: a second request for a link
    makes the first mail pointless. `payload` holds the data from which the handler builds the
    message when it is sent; never a secret. `correlation_id` is the id of the request that caused
    the message; `refusals` counts how often the server refused it for good.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        # For the worker's poll: the due messages among the few that are pending.
        partial_index("ix_outbox_messages_due", "next_attempt_at", where="state = 'pending'"),
        Index("ix_outbox_messages_topic_id", "topic", "id"),
        Index("ix_outbox_messages_user_id_id", "user_id", "id"),
        Index("ix_outbox_messages_state_created_at", "state", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(40))
    topic: Mapped[str | None] = mapped_column(key_string(TOPIC_MAX_LENGTH))
    user_id: Mapped[UUID | None] = mapped_column()
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    next_attempt_at: Mapped[datetime] = mapped_column(UTCDateTime)
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    lease_id: Mapped[UUID | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_error: Mapped[str | None] = mapped_column(String(200))
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    refusals: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
