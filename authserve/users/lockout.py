"""The count of wrong passwords in a row, which at last switches a password off for strangers."""

from uuid import UUID

from sqlalchemy import ColumnElement, case, update

from authserve.core.actor import RequestInfo
from authserve.database.emit import emit
from authserve.database.transactions import require_transaction
from authserve.users.credentials import Credentials
from authserve.users.events import PasswordDisabled
from authserve.users.models import TABLE, User
from authserve.users.policy import MAX_FAILED_SIGN_INS

NOBODY = UUID(int=0)
"""No account's id."""


def count_wrong_password(credentials: Credentials | None, *, request: RequestInfo) -> None:
    """Count a wrong password that came without a device token, in the open transaction.

    The one that makes the count full switches the password off for devices that nobody knows,
    until there is a new one (NIST SP 800-63B-4 §3.2.2); then nothing is counted any more. One
    UPDATE counts and tells who made it full, so of any number of simultaneous callers one does.
    Where there is no account the same statement meets no row, so that the work is the same.

    Args:
        credentials: what the password was checked by. One that was replaced meanwhile counts
            nothing against its successor.
    """
    user_id, version = (
        (credentials.ref.id, credentials.password_version) if credentials else (NOBODY, 0)
    )
    failures = require_transaction().scalar(
        update(User)
        .where(
            User.id == user_id,
            User.password_version == version,
            User.password_hash.is_not(None),
            is_password_enabled(),
        )
        .values(failed_sign_ins=User.failed_sign_ins + 1)
        .returning(User.failed_sign_ins)
        .execution_options(synchronize_session=False)
    )
    if credentials is not None and failures == MAX_FAILED_SIGN_INS:
        emit(PasswordDisabled(subject=credentials.ref, request=request))


def is_password_enabled() -> ColumnElement[bool]:
    """`not policy.is_password_disabled` as SQL."""
    return TABLE.c.failed_sign_ins < MAX_FAILED_SIGN_INS


def count_after_success() -> ColumnElement[int]:
    """The count after a sign-in: none, but what was switched off stays so."""
    return case((is_password_enabled(), 0), else_=TABLE.c.failed_sign_ins)
