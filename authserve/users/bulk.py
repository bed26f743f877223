"""Insertion of many accounts at once."""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.core.errors import ConflictError
from authserve.core.frozen import frozen
from authserve.core.identifiers import search_key
from authserve.core.ids import new_id
from authserve.database.transactions import read_all, require_transaction
from authserve.users.errors import EmailTakenError
from authserve.users.models import User
from authserve.users.released_usernames import require_not_held


@frozen(kw_only=True)
class ImportedUser:
    """An account of another system, with values in the forms that the service stores.

    Args:
        id: used for the new account if given, so that other services' references stay valid.
        password_hash: in a format that `authserve.passwords` verifies.
        has_credential: True if something else opens the account, such as a passkey.
    """

    email: str
    id: UUID | None = None
    username: str | None = None
    display_name: str | None = None
    locale: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    email_verified: bool = False
    is_active: bool = True
    mfa_enabled: bool = False
    created_at: datetime | None = None
    last_login_at: datetime | None = None
    roles: tuple[str, ...] = ()
    has_credential: bool = False

    @property
    def identifiers(self) -> list[str]:
        """The address and username, which no other account may have."""
        return [name for name in (self.email, self.username) if name]


def add_users_in_bulk(users: Sequence[ImportedUser]) -> list[UserRef]:
    """Insert accounts in the open transaction, with one statement.

    Returns:
        The references to the accounts, in the same order.

    Raises:
        EmailTakenError: another account took an address, a username or an id meanwhile; the
            transaction must not go on.
        UsernameTakenError: a username is held for its former owner; the transaction must not go
            on.
    """
    if not users:
        return []
    moment = now()
    rows = [_row(user, moment) for user in users]
    try:
        require_transaction().execute(insert(User), rows)
    except IntegrityError as error:
        taken: ConflictError = EmailTakenError("Another account took this meanwhile.")
        raise taken from error
    require_not_held({row["username"]: row["id"] for row in rows if row["username"]})
    return [UserRef(row["id"], row["audit_id"]) for row in rows]


def _row(user: ImportedUser, moment: datetime) -> dict[str, Any]:
    name = user.display_name
    user_id = user.id or new_id()
    is_activated = user.password_hash is not None or user.has_credential
    return {
        "id": user_id,
        "audit_id": user_id,
        "email": user.email,
        "email_verified": user.email_verified,
        "username": user.username,
        "display_name": name,
        "name_key": None if name is None else search_key(name),
        "locale": user.locale,
        "password_hash": user.password_hash,
        "activated_at": (user.created_at or moment) if is_activated else None,
        "is_active": user.is_active,
        "mfa_enabled": user.mfa_enabled,
        "created_at": user.created_at or moment,
        "updated_at": moment,
        "last_login_at": user.last_login_at,
    }


def find_known_ids(ids: Sequence[UUID]) -> set[UUID]:
    """Return those of `ids` that an account has."""
    return {row.id for row in read_all(select(User.id).where(User.id.in_(ids)))}
