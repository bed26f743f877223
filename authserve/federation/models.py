"""The table of providers."""

from datetime import datetime

from sqlalchemy import JSON, Boolean, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.transactions import Base, UTCDateTime, key_string
from authserve.federation.configuration import MAX_ISSUER_LENGTH

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
