"""The table of API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.apikeys.policy import NAME_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.core.key_text import HINT_LENGTH
from authserve.database.statements import Base, UTCDateTime


class APIKey(Base):
    """A key of a user; the row has its SHA-256 and last letters. A revoked key has no row."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("aal IN (1, 2, 3)", name="aal"),
        Index("ix_api_keys_user_id_id", "user_id", "id"),
        UniqueConstraint("digest"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(NAME_MAX_LENGTH))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    hint: Mapped[str] = mapped_column(String(HINT_LENGTH))
    # Names of scopes, in scope form (RFC 6749 §3.3).
    scope: Mapped[str] = mapped_column(Text)
    # The level of the session that made it (`core.levels.Level`): decides which roles count.
    aal: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_ip: Mapped[str | None] = mapped_column(String(45))
