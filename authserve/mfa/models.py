"""Tables of second factors, pending sign-ins, mailed codes and spent challenges."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.actor import USER_AGENT_MAX_LENGTH
from authserve.core.identifiers import EMAIL_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.statements import Base, UTCDateTime, key_string, partial_index

_IS_CONFIRMED, _IS_SET_UP = "confirmed_at IS NOT NULL", "confirmed_at IS NULL"


class TotpFactor(Base):
    """The TOTP secret of an account (RFC 6238), or one that is being set up.

    `secret` is encrypted, with the row's id as context. `last_step` is the time step of the last
    code that was accepted, so no code is accepted twice. `bound_to` is the session or the pending
    sign-in that set it up, and `expires_at` the end of that set-up.
    """

    __tablename__ = "totp_factors"
    __table_args__ = (
        # At most one confirmed secret and one set-up of each user, even with concurrent requests.
        partial_index(
            "uq_totp_factors_user_id_confirmed", "user_id", where=_IS_CONFIRMED, unique=True
        ),
        partial_index("uq_totp_factors_user_id_set_up", "user_id", where=_IS_SET_UP, unique=True),
        Index("ix_totp_factors_user_id", "user_id"),
        Index("ix_totp_factors_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    bound_to: Mapped[UUID | None] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Passkey(Base):
    """A passkey of an account (WebAuthn Level 3): discoverable, with user verification.

    `public_key` is a COSE key. `rp_id` is the RP ID that it was registered for; it works for no
    other. `flagged_at` is set when its counter fell back, the sign of a clone; from then on it is
    refused until the owner sets `counter_ignored`.
    """

    __tablename__ = "passkeys"
    __table_args__ = (
        UniqueConstraint("credential_id"),
        Index("ix_passkeys_user_id_id", "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023))
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    algorithm: Mapped[int] = mapped_column(Integer)
    rp_id: Mapped[str] = mapped_column(String(253))
    sign_count: Mapped[int] = mapped_column(BigInteger)
    backup_eligible: Mapped[bool] = mapped_column(Boolean)
    backed_up: Mapped[bool] = mapped_column(Boolean)
    transports: Mapped[list[str]] = mapped_column(JSON)
    aaguid: Mapped[UUID] = mapped_column()
    name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    flagged_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    counter_ignored: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)


class RecoveryCode(Base):
    """The SHA-256 of one recovery code; the code has 120 random bits, so no slow hash is needed."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class PendingSignIn(Base):
    """A sign-in whose first step succeeded, and which waits for a second proof or an enrolment.

    `secret_digest` is the SHA-256 of 128 random bits that its `mfa_token` carries, so neither a
    stolen database nor a stolen signing secret makes a token. A new password makes it void
    (`password_version`). `provider` is the slug of the provider by which the first step was taken,
    for the audit trail.
    """

    __tablename__ = "pending_sign_ins"
    __table_args__ = (
        Index("ix_pending_sign_ins_user_id", "user_id"),
        Index("ix_pending_sign_ins_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    secret_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    proofs: Mapped[list[str]] = mapped_column(JSON)
    password_version: Mapped[int] = mapped_column(Integer)
    device_id: Mapped[str | None] = mapped_column(String(32))
    provider: Mapped[str | None] = mapped_column(String(32))
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_MAX_LENGTH))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class EmailCode(Base):
    """A mailed code: to sign in, or to prove the mailbox before a first factor.

    Its id is that of the message that carries it. The code is an HMAC of the id, so a retried mail
    repeats it and a reader of this table cannot work it out. `handle_digest` is the SHA-256 of what
    the code is bound to: the requester's token, or the session or pending sign-in that enrols.
    """

    __tablename__ = "email_codes"
    __table_args__ = (
        UniqueConstraint("handle_digest"),
        Index("ix_email_codes_user_id", "user_id"),
        Index("ix_email_codes_email", "email"),
        Index("ix_email_codes_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    handle_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    email: Mapped[str] = mapped_column(key_string(EMAIL_MAX_LENGTH))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    requested_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class SpentChallenge(Base):
    """The nonce of a passkey challenge that has had its one answer."""

    __tablename__ = "spent_challenges"
    __table_args__ = (Index("ix_spent_challenges_expires_at", "expires_at"),)

    nonce: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
