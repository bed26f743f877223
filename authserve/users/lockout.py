"""Count of wrong passwords in a row, which disables a password for unknown devices."""

from uuid import UUID

from sqlalchemy import ColumnElement, case, update

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import require_transaction
from authserve.users.credentials import MAX_FAILED_SIGN_INS, Credentials
from authserve.users.models import TABLE, User

NO_USER = UUID(int=0)
"""Id that no account has."""


def count_wrong_password(credentials: Credentials | None, *, request: RequestInfo) -> None:
    """Count a wrong password that came without a device token, in the open transaction.

    At `MAX_FAILED_SIGN_INS` the password is disabled for unknown devices until it is replaced (NIST
    SP 800-63B-4 §3.2.2), and the count stops. One UPDATE counts and returns the count, so exactly
    one of several simultaneous callers emits the event.

    Args:
        credentials: the credentials that the password was checked against. If the password was
            replaced meanwhile, nothing is counted. None for an unknown account: the same statement
            then matches no row, so the work is the same.
        request: for the audit event.
    """
    user_id, version = (
        (credentials.ref.id, credentials.password_version) if credentials else (NO_USER, 0)
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
        emit(
            AuditAction.USER_PASSWORD_DISABLED,
            outcome=Outcome.FAILURE,
            actor=VISITOR,
            subject=credentials.ref,
            request=request,
        )


def is_password_enabled() -> ColumnElement[bool]:
    """Return `not credentials.is_password_disabled` as SQL."""
    return TABLE.c.failed_sign_ins < MAX_FAILED_SIGN_INS


def count_after_success() -> ColumnElement[int]:
    """Return, as SQL, the count after a sign-in: 0, or unchanged if the password is disabled."""
    return case((is_password_enabled(), 0), else_=TABLE.c.failed_sign_ins)
