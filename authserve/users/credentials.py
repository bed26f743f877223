"""Data of an account that the check of its password needs."""

from dataclasses import field
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from authserve.core.actor import UserRef
from authserve.core.frozen import frozen
from authserve.database.statements import PreparedStatement
from authserve.database.transactions import read_all
from authserve.users.errors import UserNotFoundError
from authserve.users.models import User, is_activated

MAX_FAILED_SIGN_INS = 100
"""Wrong passwords in a row, without a device token, that disable a password (NIST SP 800-63B-4
§3.2.2)."""


def is_password_disabled(failed_sign_ins: int) -> bool:
    """Return True if a password is disabled for unknown devices, until it is replaced."""
    return failed_sign_ins >= MAX_FAILED_SIGN_INS


MAX_FAILED_SECOND_FACTORS = 100
"""Wrong second proofs in a row, from unknown devices, that switch TOTP off for those devices (NIST
SP 800-63B-4 §3.2.2)."""


def is_totp_switched_off(failed_second_factors: int) -> bool:
    """Return True if TOTP is off for unknown devices, until the password is replaced."""
    return failed_second_factors >= MAX_FAILED_SECOND_FACTORS


@frozen(kw_only=True)
class Credentials:
    """Data of an account that decides a sign-in, and the names that its password must not be."""

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
    mfa_enabled: bool = False
    mfa_reset_at: datetime | None = None
    is_totp_switched_off: bool = False

    @property
    def names(self) -> list[str]:
        """Words that the owner's password must not be."""
        return [word for word in (self.email, self.username, self.display_name) if word]

    def hash_for(self, *, is_known_caller: bool) -> str | None:
        """Return the hash to verify a password against; None if no password is accepted.

        A disabled password is not verified for strangers, so neither the answer nor its duration
        depends on whether it was right.
        """
        if self.is_password_disabled and not is_known_caller:
            return None
        return self.password_hash


def find_credentials(identifier: str) -> Credentials | None:
    """Return the credentials of an account, or None if no account has this identifier.

    Args:
        identifier: a canonical address or username.
    """
    return _find(_BY_EMAIL if "@" in identifier else _BY_USERNAME, identifier)


def get_credentials(user_id: UUID) -> Credentials:
    """Return the credentials of the account with this id.

    Raises:
        UserNotFoundError: there is no such account (any more).
    """
    credentials = find_credentials_by_id(user_id)
    if credentials is None:
        raise UserNotFoundError
    return credentials


def find_credentials_by_id(user_id: UUID) -> Credentials | None:
    """Return the credentials of the account with this id, or None if there is none (any more)."""
    return _find(_BY_ID, user_id)


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
    User.mfa_enabled,
    User.mfa_reset_at,
    User.failed_second_factors,
    is_activated().label("is_activated"),
)
_BY_ID, _BY_EMAIL, _BY_USERNAME = (
    PreparedStatement(
        select(*_COLUMNS).where(column == bindparam("wanted")), name=f"credentials_by_{column.key}"
    )
    for column in (User.id, User.email, User.username)
)


def _find(statement: PreparedStatement, wanted: UUID | str) -> Credentials | None:
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
        mfa_enabled=row.mfa_enabled,
        mfa_reset_at=row.mfa_reset_at,
        is_totp_switched_off=is_totp_switched_off(row.failed_second_factors),
    )
