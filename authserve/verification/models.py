"""The table of one-time tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.identifiers import EMAIL_MAX_LENGTH
from authserve.database.statements import Base, UTCDateTime, key_string, partial_index

_LIVE = "used_at IS NULL AND superseded_at IS NULL"


class OneTimeToken(Base):
    """One link. If it is mailed, its id is that of the message that carries it.

    The secret in the link is an HMAC of the id under a purpose key. So a retried mail carries the
    same link, and a reader of this table cannot use any link.
    """

    __tablename__ = "one_time_tokens"
    __table_args__ = (
        # One live link for each purpose and user, even with simultaneous requests.
        partial_index(
            "uq_one_time_tokens_user_id_purpose", "user_id", "purpose", where=_LIVE, unique=True
        ),
        # For the deletion of a user, which deletes all their tokens, dead ones too.
        Index("ix_one_time_tokens_user_id", "user_id"),
        Index("ix_one_time_tokens_email", "email"),
        Index("ix_one_time_tokens_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(key_string(EMAIL_MAX_LENGTH))
    requested_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    superseded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
