"""Tables of accounts and of released usernames."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
    or_,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from authserve.core.identifiers import DISPLAY_NAME_MAX_LENGTH, EMAIL_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.statements import Base, UTCDateTime, key_string, partial_index, table_of


class email_domain(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """SQL function: the part of a canonical address after the `@`, as the domain index has it."""

    type = String()
    inherit_cache = True


@compiles(email_domain, "postgresql")
def _split_address(element: Any, compiler: Any, **options: Any) -> str:
    return f"split_part({compiler.process(element.clauses, **options)}, '@', 2)"


@compiles(email_domain, "sqlite")
def _cut_address(element: Any, compiler: Any, **options: Any) -> str:
    address = compiler.process(element.clauses, **options)
    return f"substr({address}, instr({address}, '@') + 1)"


def _own_id(context: Any) -> UUID:
    """Return the id of the row that is being inserted."""
    own_id: UUID = context.get_current_parameters()["id"]
    return own_id


class User(Base):
    """One account.

    `audit_id` is the id that audit events hold for the account: its own id, or a random one if the
    account was created before migration 0008.

    `email` and `username` are stored only in canonical form (`core.identifiers`). `name_key` is the
    display name in the form that a search compares. `activated_at` is the time when the first
    credential was set or proven; the previous release does not write it (`is_activated`). `locale`
    is the language for pages and mails, a tag of RFC 5646 (§4.4.1: 35 characters are enough); None
    if the user chose none. `activity_seen_at` is the time of the last sign-in that the user called
    their own when they were asked about a new device.
    """

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email"),
        UniqueConstraint("username"),
        UniqueConstraint("audit_id"),
        # Serves searches by name; the unique indexes serve those by address and username.
        Index("ix_users_name_key_id", "name_key", "id"),
        # Used only by the previous release.
        Index("ix_users_name_key", "name_key"),
        # These serve the pages of lists, unfiltered or filtered, in the order of the list.
        Index("ix_users_created_at_id", "created_at", "id"),
        Index("ix_users_is_active_created_at_id", "is_active", "created_at", "id"),
        Index("ix_users_mfa_enabled_created_at_id", "mfa_enabled", "created_at", "id"),
        Index("ix_users_updated_at_id", "updated_at", "id"),
        # Finds the resets of second factors that are due.
        partial_index("ix_users_mfa_reset_at", "mfa_reset_at", where="mfa_reset_at IS NOT NULL"),
        # Used only by the previous release, for its order of lists.
        Index("ix_users_is_active_id", "is_active", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    audit_id: Mapped[UUID] = mapped_column(default=_own_id)
    email: Mapped[str] = mapped_column(key_string(EMAIL_MAX_LENGTH))
    email_verified: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)
    username: Mapped[str | None] = mapped_column(key_string(32))
    display_name: Mapped[str | None] = mapped_column(String(DISPLAY_NAME_MAX_LENGTH))
    # Case folding can triple a name's length ("ΐ" folds to three code points).
    name_key: Mapped[str | None] = mapped_column(key_string(3 * DISPLAY_NAME_MAX_LENGTH))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    # Grows with every new password, so tokens issued under an older one can be refused.
    password_version: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    # Wrong passwords in a row, without a device token. At `credentials.MAX_FAILED_SIGN_INS` the
    # password is disabled for unknown devices.
    failed_sign_ins: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=true(), default=True)
    mfa_enabled: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)
    # Wrong second factors in a row, from unknown devices (`mfa.throttle`).
    failed_second_factors: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    # The time at which an administrator's reset of the second factors takes effect.
    mfa_reset_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    invited_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    activated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    locale: Mapped[str | None] = mapped_column(String(35))
    activity_seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def is_activated(self) -> bool:
        """True once the account's owner has, or had, a credential; see `is_activated`."""
        return self.activated_at is not None or self.password_hash is not None


Index("ix_users_email_domain", email_domain(User.email), User.created_at, User.id)


class ReleasedUsername(Base):
    """A username that an account gave up, held for its former owner; one row each time.

    Only the name's SHA-256 is stored. `user_id` is null once the account is deleted, and then no
    account may take the name.
    """

    __tablename__ = "released_usernames"
    __table_args__ = (
        Index("ix_released_usernames_digest", "digest"),
        Index("ix_released_usernames_user_id", "user_id"),
        Index("ix_released_usernames_released_at", "released_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    released_at: Mapped[datetime] = mapped_column(UTCDateTime)


TABLE = table_of(User)


def is_activated() -> ColumnElement[bool]:
    """Return `User.is_activated` as SQL."""
    return or_(TABLE.c.activated_at.is_not(None), TABLE.c.password_hash.is_not(None))
