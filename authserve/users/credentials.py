"""What an account's password is judged by."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from authserve.core.actor import UserRef
from authserve.database.transactions import AnySelect, read_all
from authserve.users.errors import UserNotFoundError
from authserve.users.models import User, is_activated
from authserve.users.policy import is_password_disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a sign-in has to be judged by, and what a new password must not be."""

    ref: UserRef
    email: str
    username: str | None
    display_name: str | None
    password_hash: str | None = field(repr=False)
    is_active: bool
    email_verified: bool
    password_version: int
    last_login_at: datetime | None = None
    is_password_disabled: bool
    is_activated: bool

    @property
    def names(self) -> list[str]:
        """The words that the owner's password must not be."""
        return [word for word in (self.email, self.username, self.display_name) if word]

    def hash_for(self, *, is_known_caller: bool) -> str | None:
        """The hash that a password is checked by, or None where none is good enough.

        A password that is switched off is not checked at all for strangers, so that no answer,
        and no time that an answer takes, can depend on whether it was the right one.
        """
        if self.is_password_disabled and not is_known_caller:
            return None
        return self.password_hash


def find_credentials(identifier: str) -> Credentials | None:
    """What is needed to judge a sign-in, or None for an identifier that nobody has.

    Args:
        identifier: a canonical address or username.
    """
    return _find(_BY_EMAIL if "@" in identifier else _BY_USERNAME, identifier)


def get_credentials(user_id: UUID) -> Credentials:
    """What a password of this account has to be judged by.

    Raises:
        UserNotFoundError: there is no such account (any more).
    """
    credentials = _find(_BY_ID, user_id)
    if credentials is None:
        raise UserNotFoundError
    return credentials


_COLUMNS = (
    User.id,
    User.audit_id,
    User.email,
    User.username,
    User.display_name,
    User.password_hash,
    User.is_active,
    User.email_verified,
    User.password_version,
    User.last_login_at,
    User.failed_sign_ins,
    is_activated().label("is_activated"),
)
_BY_ID, _BY_EMAIL, _BY_USERNAME = (
    select(*_COLUMNS).where(column == bindparam("wanted"))
    for column in (User.id, User.email, User.username)
)
"""Built once, since building one takes longer than running it (measured)."""


def _find(statement: AnySelect, wanted: UUID | str) -> Credentials | None:
    rows = read_all(statement, {"wanted": wanted})
    if not rows:
        return None
    row = rows[0]
    return Credentials(
        ref=UserRef(row.id, row.audit_id),
        email=row.email,
        username=row.username,
        display_name=row.display_name,
        password_hash=row.password_hash,
        is_active=row.is_active,
        email_verified=row.email_verified,
        password_version=row.password_version,
        last_login_at=row.last_login_at,
        is_password_disabled=is_password_disabled(row.failed_sign_ins),
        is_activated=row.is_activated,
    )
