"""The address of an account: verified, changed by its owner, or set by an administrator."""

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.exc import IntegrityError

from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.database.transactions import require_transaction
from authserve.users.errors import EmailTakenError, UserNotFoundError
from authserve.users.models import User


def verify_email(user: UserRef, email: str) -> None:
    """Mark an account's address as verified, in the open transaction.

    Raises:
        UserNotFoundError: the account is gone or deactivated, or has another address now.
    """
    _update_email(user, User.email == email, email)


def change_email(user: UserRef, email: str) -> str:
    """Replace an account's address by a verified one, in the open transaction.

    Returns:
        The previous address.

    Raises:
        EmailTakenError: another account has the address; the transaction must not go on.
        UserNotFoundError: the account is gone or deactivated.
    """
    session = require_transaction()
    before = session.scalar(select(User.email).where(User.id == user.id).with_for_update())
    if before is None:
        raise UserNotFoundError
    try:
        _update_email(user, true(), email)
    except IntegrityError as error:
        raise EmailTakenError from error
    return before


def set_email(user: UserRef, email: str, *, email_verified: bool) -> None:
    """Set an account's address for an administrator, in the open transaction.

    Raises:
        EmailTakenError: another account has the address; the transaction must not go on.
        UserNotFoundError: the account is gone.
    """
    try:
        result = require_transaction().execute(
            update(User)
            .where(User.id == user.id)
            .values(email=email, email_verified=email_verified, updated_at=now())
            .execution_options(synchronize_session=False)
        )
    except IntegrityError as error:
        raise EmailTakenError from error
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise UserNotFoundError


def _update_email(user: UserRef, condition: ColumnElement[bool], email: str) -> None:
    result = require_transaction().execute(
        update(User)
        .where(User.id == user.id, User.is_active, condition)
        .values(email=email, email_verified=True, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise UserNotFoundError
