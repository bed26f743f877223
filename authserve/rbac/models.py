"""Tables of roles and their holders."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.statements import Base, UTCDateTime, key_string

ROLE_NAME_MAX_LENGTH = 64


class Role(Base):
    """A named set of permissions.

    `permissions` is a list in scope form (RFC 6749 §3.3): sorted, separated by single spaces.
    It is always read and written whole, so the token check reads one column.
    """

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(key_string(ROLE_NAME_MAX_LENGTH), primary_key=True)
    description: Mapped[str] = mapped_column(String(200), server_default="", default="")
    permissions: Mapped[str] = mapped_column(Text, server_default="", default="")
    # True if the role has no effect in a session below `Level.AAL2`.
    requires_mfa: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)
    is_built_in: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)


class UserRole(Base):
    """One role of one user."""

    __tablename__ = "user_roles"
    __table_args__ = (
        # Finds a role's holders: for lists by role, before a deletion, for the last administrator.
        Index("ix_user_roles_role_name_user_id", "role_name", "user_id"),
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    role_name: Mapped[str] = mapped_column(
        key_string(ROLE_NAME_MAX_LENGTH),
        ForeignKey("roles.name", ondelete="RESTRICT"),
        primary_key=True,
    )
