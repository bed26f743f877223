"""The tables of providers and of the identities that people have at them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    JSON,
    Boolean,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.identifiers import EMAIL_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.statements import Base, UTCDateTime, key_string
from authserve.federation.configuration import MAX_ISSUER_LENGTH
from authserve.federation.id_tokens import MAX_SUBJECT_LENGTH

SLUG_MAX_LENGTH = 32

CLIENT_ID_MAX_LENGTH = 255

NAME_MAX_LENGTH = 100


class IdentityProvider(Base):
    """A provider; `configuration.ProviderConfiguration` explains the columns.

    The secret is encrypted, with the slug as its context.
    """

    __tablename__ = "identity_providers"

    slug: Mapped[str] = mapped_column(key_string(SLUG_MAX_LENGTH), primary_key=True)
    preset: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(NAME_MAX_LENGTH))
    issuer: Mapped[str] = mapped_column(key_string(MAX_ISSUER_LENGTH))
    client_id: Mapped[str] = mapped_column(String(CLIENT_ID_MAX_LENGTH))
    secret: Mapped[bytes] = mapped_column(LargeBinary(1_100))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    enabled: Mapped[bool] = mapped_column(Boolean)
    sign_up: Mapped[bool] = mapped_column(Boolean)
    link: Mapped[str] = mapped_column(String(8))
    trusts_email: Mapped[bool] = mapped_column(Boolean)
    trusts_mfa: Mapped[bool] = mapped_column(Boolean)
    allowed_domains: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Identity(Base):
    """A person at a provider who is the user of an account here.

    A subject is unique within its issuer, and no provider gives it to another person (OpenID
    Connect Core §5.7).
    """

    __tablename__ = "identities"
    __table_args__ = (
        Index("ix_identities_user_id_id", "user_id", "id"),
        UniqueConstraint("issuer", "subject"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    issuer: Mapped[str] = mapped_column(key_string(MAX_ISSUER_LENGTH))
    subject: Mapped[str] = mapped_column(key_string(MAX_SUBJECT_LENGTH))
    # The address that the provider names, for its owner to recognize; it decides nothing.
    email: Mapped[str | None] = mapped_column(String(EMAIL_MAX_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
