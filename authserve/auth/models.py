"""Tables of the first administrator's link and of devices seen at sign-ins."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.statements import Base, UTCDateTime, table_of

ONLY_ID = 1
"""The id of the only row: a new link replaces the previous one."""


class FirstLink(Base):
    """The one-time link that creates the first administrator, as the SHA-256 of its token."""

    __tablename__ = "first_links"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


TABLE = table_of(FirstLink)


class SeenDevice(Base):
    """A browser family in a network from which an account's owner has signed in.

    `digest` is the SHA-256 of account, browser family and network. `sightings` counts days with a
    sign-in; it is 1 while the device is new.
    """

    __tablename__ = "seen_devices"
    __table_args__ = (
        Index("ix_seen_devices_user_id", "user_id"),
        Index("ix_seen_devices_last_seen_at", "last_seen_at"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    sightings: Mapped[int] = mapped_column(Integer)
