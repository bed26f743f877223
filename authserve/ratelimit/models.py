"""Table of counters."""

from datetime import datetime

from sqlalchemy import Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.statements import Base, UTCDateTime, key_string, table_of

KEY_MAX_LENGTH = 200

THROTTLE_PREFIX = "failures:"
"""Prefix of all keys of the login throttle; all other keys belong to ordinary limits."""


class RateCounter(Base):
    """Number of hits since a window began; the row is void from `expires_at` on."""

    __tablename__ = "rate_counters"
    __table_args__ = (Index("ix_rate_counters_expires_at", "expires_at"),)

    key: Mapped[str] = mapped_column(key_string(KEY_MAX_LENGTH), primary_key=True)
    hits: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


TABLE = table_of(RateCounter)
