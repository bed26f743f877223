"""The tables of authorization codes, of consents, and of the outcomes of logout tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.statements import Base, UTCDateTime, key_string
from authserve.sessions.policy import CLIENT_ID_MAX_LENGTH


class AuthorizationCode(Base):
    """A code, by the SHA-256 of its text; good once, and for a minute.

    A used row stays for a day, with the session that it made, so that a later use is recognized.
    `parent_id` is the browser's session in which its user allowed it. `aal`, `amr` and `auth_time`
    are the authentication by which it was allowed; None in a code of the release before.
    """

    __tablename__ = "authorization_codes"
    __table_args__ = (Index("ix_authorization_codes_user_id", "user_id"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    client_id: Mapped[str] = mapped_column(key_string(CLIENT_ID_MAX_LENGTH))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    parent_id: Mapped[UUID]
    redirect_uri: Mapped[str] = mapped_column(Text)
    # None where the client does without PKCE.
    code_challenge: Mapped[str | None] = mapped_column(String(43))
    scope: Mapped[str] = mapped_column(Text)
    resource: Mapped[str | None] = mapped_column(Text)
    nonce: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    aal: Mapped[int | None] = mapped_column(SmallInteger)
    amr: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    auth_time: Mapped[datetime | None] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    session_id: Mapped[UUID | None]


class UserConsent(Base):
    """The scopes that a user allows an app; a further consent adds some, a withdrawal deletes them.

    The operator's own apps need none.
    """

    __tablename__ = "consents"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    client_id: Mapped[str] = mapped_column(key_string(CLIENT_ID_MAX_LENGTH), primary_key=True)
    # Names of scopes, in scope form (RFC 6749 §3.3).
    scope: Mapped[str] = mapped_column(Text)
    # The time of the first consent since the last withdrawal.
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime)


class LogoutDelivery(Base):
    """The outcomes of the logout tokens for a client, since its first.

    `failed` counts those that were given up, and `fault` is why the last of them was.
    """

    __tablename__ = "logout_deliveries"

    client_id: Mapped[str] = mapped_column(key_string(CLIENT_ID_MAX_LENGTH), primary_key=True)
    delivered: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    delivered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    fault: Mapped[str | None] = mapped_column(String(200))
