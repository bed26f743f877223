"""The table of the first administrator's link."""

from datetime import datetime

from sqlalchemy import Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.transactions import Base, UTCDateTime, table_of

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
