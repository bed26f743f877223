"""The table of signing keys."""

from datetime import datetime

from sqlalchemy import Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.transactions import Base, UTCDateTime, key_string


class SigningKey(Base):
    """One key pair; its state follows from its three times (`policy.py`).

    `serial` numbers the keys without gaps. Every process that makes a key inserts the next number,
    and the unique constraint lets one process win.
    """

    __tablename__ = "signing_keys"
    __table_args__ = (UniqueConstraint("serial"),)

    kid: Mapped[str] = mapped_column(key_string(64), primary_key=True)
    serial: Mapped[int] = mapped_column(Integer)
    algorithm: Mapped[str] = mapped_column(String(16))
    public_pem: Mapped[str] = mapped_column(Text)
    private_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime] = mapped_column(UTCDateTime)
    active_from: Mapped[datetime] = mapped_column(UTCDateTime)
    retire_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
