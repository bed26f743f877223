"""The tables of the audit trail.

Database triggers (migration `0004_audit_chain`) prevent changes of events and add each new event
to `audit_unsealed`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.actor import USER_AGENT_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.statements import Base, UTCDateTime


class AuditEvent(Base):
    """One event; it never changes, and only pruning deletes it.

    The user columns hold `users.audit_id` without a foreign key, so an event outlives its users.
    That is the user's own id since migration 0008, and a random id for older accounts
    (`AuditPseudonym`).
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_subject_audit_id_id", "subject_audit_id", "id"),
        Index("ix_audit_events_actor_audit_id_id", "actor_audit_id", "id"),
        Index("ix_audit_events_action_id", "action", "id"),
        Index("ix_audit_events_occurred_at", "occurred_at"),
        Index("ix_audit_events_correlation_id_id", "correlation_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    occurred_at: Mapped[datetime] = mapped_column(UTCDateTime)
    action: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    actor_audit_id: Mapped[UUID | None] = mapped_column()
    subject_audit_id: Mapped[UUID | None] = mapped_column()
    actor_client_id: Mapped[str | None] = mapped_column(String(48))
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    details_digest: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditDetail(Base):
    """The personal data of an event; the only part that may be erased.

    The event keeps a salted digest of it, which reveals a change. Erasure deletes the salt too, so
    the erased data cannot be guessed from the digest.
    """

    __tablename__ = "audit_details"

    event_id: Mapped[UUID] = mapped_column(
        ForeignKey("audit_events.id", ondelete="CASCADE"), primary_key=True
    )
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_MAX_LENGTH))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


class AuditPseudonym(Base):
    """A deleted user's id and the `audit_id` that the user's events hold.

    Accounts made before migration 0008 have a random `audit_id`. The pair outlives the account,
    so its events can still be found by the user's id.
    """

    __tablename__ = "audit_pseudonyms"
    __table_args__ = (UniqueConstraint("user_id"),)

    audit_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column()


class AuditUnsealed(Base):
    """An event that is in no batch yet; a trigger of `audit_events` adds the row.

    The row lets sealing find an event that commits late, without a scan of old events. The trigger
    also works while the previous release still runs. There is no foreign key: the id of a removed
    event must remain, so that verification can name it.
    """

    __tablename__ = "audit_unsealed"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)


class AuditSeal(Base):
    """The batch and position of a sealed event.

    There is no foreign key: the id of a removed event must remain, so that verification can name
    it.
    """

    __tablename__ = "audit_seals"
    __table_args__ = (UniqueConstraint("batch_seq", "position"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    batch_seq: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer)


class AuditBatch(Base):
    """A group of events sealed together; each batch is chained to the one before.

    `head` is a digest of all columns above it; `mac` authenticates `head` and `pruned_at` under a
    purpose key. `event_digests` holds 32 bytes an event, in order, so that verification can name a
    changed event; pruning deletes it and keeps `events_digest`, its digest.
    """

    __tablename__ = "audit_batches"
    __table_args__ = (Index("ix_audit_batches_pruned_at_newest_at", "pruned_at", "newest_at"),)

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    event_count: Mapped[int] = mapped_column(Integer)
    first_event_id: Mapped[UUID] = mapped_column()
    last_event_id: Mapped[UUID] = mapped_column()
    oldest_at: Mapped[datetime] = mapped_column(UTCDateTime)
    newest_at: Mapped[datetime] = mapped_column(UTCDateTime)
    sealed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    events_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    previous_head: Mapped[bytes] = mapped_column(LargeBinary(32))
    head: Mapped[bytes] = mapped_column(LargeBinary(32))
    event_digests: Mapped[bytes | None] = mapped_column(LargeBinary)
    pruned_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))


CHAIN_ID = 1


class AuditChain(Base):
    """The single row with the chain's end; sealing and pruning lock it.

    `is_pruning` allows DELETE on `audit_events`. It is set and unset in one transaction, so no
    other transaction sees it set. `verification_begun_at` is the time when a worker last began to
    verify the trail: the worker that updates it is the one that verifies.
    """

    __tablename__ = "audit_chain"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Integer)
    head: Mapped[bytes] = mapped_column(LargeBinary(32))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
    is_pruning: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    verification_begun_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
