"""The tables of the audit trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.actor import USER_AGENT_MAX_LENGTH
from authserve.core.db import Base, UTCDateTime
from authserve.core.ids import new_id


class AuditEvent(Base):
    """One event; never changed.

    Users appear by their pseudonym (`users.audit_id`), without a foreign key: deleting the user
    takes the pseudonym's meaning away and leaves the event as it was.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_subject_audit_id_id", "subject_audit_id", "id"),
        Index("ix_audit_events_actor_audit_id_id", "actor_audit_id", "id"),
        Index("ix_audit_events_action_id", "action", "id"),
        Index("ix_audit_events_occurred_at", "occurred_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    occurred_at: Mapped[datetime] = mapped_column(UTCDateTime)
    action: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    actor_audit_id: Mapped[UUID | None] = mapped_column()
    subject_audit_id: Mapped[UUID | None] = mapped_column()
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    details_digest: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditDetail(Base):
    """What an event holds of a person; the only part that may be erased.

    The event keeps a salted digest of it, so that a change shows while erasure leaves no trace
    that could be guessed back.
    """

    __tablename__ = "audit_details"

    event_id: Mapped[UUID] = mapped_column(
        ForeignKey("audit_events.id", ondelete="CASCADE"), primary_key=True
    )
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_MAX_LENGTH))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
