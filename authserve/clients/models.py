"""The tables of clients."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.ids import new_id
from authserve.core.key_text import HINT_LENGTH
from authserve.database.statements import Base, UTCDateTime, key_string
from authserve.sessions.policy import CLIENT_ID_MAX_LENGTH

ORIGIN_MAX_LENGTH = 267
"""Of an origin, in characters: `https://`, a host name of 253 (RFC 1035 §3.1), and a port."""


class Client(Base):
    """A registered client; `configuration.ClientConfiguration` explains the columns.

    A deleted client's row stays, so that no other client ever gets its id: apps and services trust
    the name.
    """

    __tablename__ = "clients"
    __table_args__ = (
        CheckConstraint("kind IN ('web', 'spa', 'native', 'machine', 'proxy')", name="kind"),
    )

    client_id: Mapped[str] = mapped_column(key_string(CLIENT_ID_MAX_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(8))
    first_party: Mapped[bool] = mapped_column(Boolean)
    enabled: Mapped[bool] = mapped_column(Boolean)
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    post_logout_redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    backchannel_logout_uri: Mapped[str | None] = mapped_column(Text)
    home_uri: Mapped[str | None] = mapped_column(Text)
    # None in rows that a release without proxies wrote.
    origins: Mapped[list[str] | None] = mapped_column(JSON)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    resources: Mapped[list[str]] = mapped_column(JSON)
    allowed_roles: Mapped[list[str]] = mapped_column(JSON)
    role_prefix: Mapped[str] = mapped_column(String(64))
    claims: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    id_token_claims: Mapped[str] = mapped_column(String(4))
    signing_alg: Mapped[str] = mapped_column(String(5))
    require_pkce: Mapped[bool] = mapped_column(Boolean)
    response_mode: Mapped[str] = mapped_column(String(9))
    min_acr: Mapped[str | None] = mapped_column(String(4))
    remote_user: Mapped[str] = mapped_column(String(8))
    # The four times are in seconds; None means the kind's or the service's own.
    access_token_ttl: Mapped[int | None] = mapped_column(Integer)
    refresh_idle_ttl: Mapped[int | None] = mapped_column(Integer)
    refresh_ttl: Mapped[int | None] = mapped_column(Integer)
    refresh_grace: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Tokens that were issued before are refused.
    tokens_valid_from: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ClientOrigin(Base):
    """The origin of a proxied application; `clients.origins` lists it too."""

    __tablename__ = "client_origins"
    __table_args__ = (Index("ix_client_origins_client_id", "client_id"),)

    origin: Mapped[str] = mapped_column(key_string(ORIGIN_MAX_LENGTH), primary_key=True)
    client_id: Mapped[str] = mapped_column(
        key_string(CLIENT_ID_MAX_LENGTH), ForeignKey("clients.client_id", ondelete="CASCADE")
    )


class ClientSecret(Base):
    """A secret with which a client authenticates; the row has its SHA-256 and last letters."""

    __tablename__ = "client_secrets"
    __table_args__ = (Index("ix_client_secrets_client_id", "client_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[str] = mapped_column(
        key_string(CLIENT_ID_MAX_LENGTH), ForeignKey("clients.client_id", ondelete="CASCADE")
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    hint: Mapped[str] = mapped_column(String(HINT_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class RefusedRedirectURI(Base):
    """A redirect URI that a request named and the client does not have: a stranger's text."""

    __tablename__ = "refused_redirect_uris"

    client_id: Mapped[str] = mapped_column(
        key_string(CLIENT_ID_MAX_LENGTH),
        ForeignKey("clients.client_id", ondelete="CASCADE"),
        primary_key=True,
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    first_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
    count: Mapped[int] = mapped_column(Integer)


class ClientFailure(Base):
    """A reason why requests of a client failed lately; `detail` is empty for most reasons."""

    __tablename__ = "client_failures"

    client_id: Mapped[str] = mapped_column(
        key_string(CLIENT_ID_MAX_LENGTH),
        ForeignKey("clients.client_id", ondelete="CASCADE"),
        primary_key=True,
    )
    reason: Mapped[str] = mapped_column(String(40), primary_key=True)
    detail: Mapped[str] = mapped_column(String(200), primary_key=True)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    # When the audit trail got its last event of it.
    reported_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
