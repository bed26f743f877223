"""The tables of signing keys."""

from datetime import datetime

from sqlalchemy import Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.statements import Base, UTCDateTime, key_string


class _KeyColumns:
    """The columns of a key pair; its state follows from its three times (`policy.py`).

    `serial` numbers the keys of a table without gaps. Every process that makes a key inserts the
    next number, and the unique constraint lets one process win.
    """

    kid: Mapped[str] = mapped_column(key_string(64), primary_key=True)
    serial: Mapped[int] = mapped_column(Integer)
    algorithm: Mapped[str] = mapped_column(String(16))
    public_pem: Mapped[str] = mapped_column(Text)
    private_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime] = mapped_column(UTCDateTime)
    active_from: Mapped[datetime] = mapped_column(UTCDateTime)
    retire_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class SigningKey(_KeyColumns, Base):
    """A key pair for ES256."""

    __tablename__ = "signing_keys"
    __table_args__ = (UniqueConstraint("serial"),)


class AppSigningKey(_KeyColumns, Base):
    """A key pair for RS256, for tokens of apps."""

    __tablename__ = "app_signing_keys"
    __table_args__ = (UniqueConstraint("serial"),)
