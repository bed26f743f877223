"""The table of sessions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from authserve.core.actor import USER_AGENT_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.statements import Base, UTCDateTime, key_string, partial_index
from authserve.sessions.policy import CLIENT_ID_MAX_LENGTH, SessionKind

_OF_CLIENT, _OF_PARENT = "client_id IS NOT NULL", "parent_id IS NOT NULL"


class Session(Base):
    """One sign-in on one device; a refresh or a page view changes its row and adds none.

    `generation` counts refreshes; outside the grace only the current generation's refresh token
    is accepted. `family_digest` is the SHA-256 of 128 random bits that every refresh token of the
    session carries, so a stolen database and the signing secret are not enough to forge one.

    A session of kind `browser` has a cookie instead of tokens: `cookie_digest` is the SHA-256 of
    its secret, and `previous_digest` that of the secret before the last rotation. No token carries
    its family secret.

    A session of kind `app` is what a client may do for its user, `client_id`'s grant. `parent_id`
    is the browser's session in which the user allowed it. If `is_offline`, it outlives that one.
    One of kind `proxy` is the same for an application behind a reverse proxy, but it has a cookie
    of its own instead of tokens.

    `provider` is the slug of the provider by which the user signed in; an app's session has that of
    the browser's.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("aal IN (1, 2, 3)", name="aal"),
        CheckConstraint("kind IN ('api', 'browser', 'app', 'proxy')", name="kind"),
        Index("ix_sessions_user_id_created_at", "user_id", "created_at"),
        # Partial, so that sessions without a client or a parent pay nothing for them.
        partial_index(
            "ix_sessions_client_id_user_id_created_at",
            "client_id",
            "user_id",
            "created_at",
            where=_OF_CLIENT,
        ),
        partial_index("ix_sessions_parent_id", "parent_id", where=_OF_PARENT),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8), server_default="api", default=SessionKind.API)
    generation: Mapped[int] = mapped_column(Integer, default=0)
    family_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    rotated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime)
    idle_expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_MAX_LENGTH))
    amr: Mapped[list[str]] = mapped_column(JSON)
    # The level that the proofs of its user reached (`core.levels.Level`); it never falls.
    aal: Mapped[int] = mapped_column(SmallInteger, server_default="1", default=1)
    auth_time: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoke_reason: Mapped[str | None] = mapped_column(String(32))
    cookie_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    cookie_rotated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    is_remembered: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)
    client_id: Mapped[str | None] = mapped_column(key_string(CLIENT_ID_MAX_LENGTH))
    parent_id: Mapped[UUID | None]
    # Names of scopes, in scope form (RFC 6749 §3.3).
    scope: Mapped[str | None] = mapped_column(Text)
    # The audience of its access tokens (RFC 8707); None means the issuer.
    resource: Mapped[str | None] = mapped_column(Text)
    is_offline: Mapped[bool] = mapped_column(Boolean, server_default=false())
    provider: Mapped[str | None] = mapped_column(String(32))
