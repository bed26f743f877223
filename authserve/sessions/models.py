"""The table of sessions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.actor import USER_AGENT_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.transactions import Base, UTCDateTime


class Session(Base):
    """One sign-in on one device; a refresh changes its row and adds none.

    `generation` counts refreshes; outside the grace only the current generation's refresh token
    is accepted. `family_digest` is the SHA-256 of 128 random bits that every refresh token of the
    session carries, so a stolen database and the signing secret are not enough to forge one.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("aal IN (1, 2, 3)", name="aal"),
        Index("ix_sessions_user_id_created_at", "user_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    generation: Mapped[int] = mapped_column(Integer, default=0)
    family_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    rotated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime)
    idle_expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_MAX_LENGTH))
    amr: Mapped[list[str]] = mapped_column(JSON)
    # The level that the proofs of its user reached (`core.levels.Level`); it never falls.
    aal: Mapped[int] = mapped_column(SmallInteger, server_default="1", default=1)
    auth_time: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoke_reason: Mapped[str | None] = mapped_column(String(32))
