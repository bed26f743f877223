"""New passwords of accounts: change a known one, and replace one after another proof."""

from dataclasses import field
from datetime import datetime

from sqlalchemy import ColumnElement, func, literal, update

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import UTCDateTime
from authserve.database.transactions import execute, require_transaction, transaction
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.passwords.validation import require_acceptable_password
from authserve.ratelimit.policy import find_network
from authserve.users.credentials import get_credentials
from authserve.users.errors import UserNotFoundError, WrongPasswordError
from authserve.users.models import TABLE, User, is_activated
from authserve.users.passwords import confirm_password


def change_password(
    user: UserRef,
    *,
    current_password: str,
    new_password: str,
    actor: Actor,
    request: RequestInfo,
) -> None:
    """Replace the password of a user who knows the current one; their other sessions end.

    Raises:
        AuthserveError: see `check_new_password`, and `set_new_password`.
    """
    new = check_new_password(
        user,
        current_password=current_password,
        new_password=new_password,
        actor=actor,
        request=request,
    )
    with transaction():
        set_new_password(user, new, actor=actor, request=request)


@frozen()
class NewPasswordHash:
    """The hash of a new password, which replaces a verified one.

    Args:
        replaced_version: of the verified password.
    """

    password_hash: str = field(repr=False)
    replaced_version: int


def check_new_password(
    user: UserRef,
    *,
    current_password: str,
    new_password: str,
    actor: Actor,
    request: RequestInfo,
) -> NewPasswordHash:
    """Verify the current password of a user, and hash the new one, outside of transactions.

    Raises:
        ValidationFailedError: the new password is not acceptable.
        WrongPasswordError: the current password is wrong.
        TooManyAttemptsError, HasherBusyError, UserNotFoundError: see `confirm_password`.
    """
    context = get_credentials(user.id).names
    require_acceptable_password(new_password, context=context, field="new_password")
    version = confirm_password(user, current_password, actor=actor, request=request)
    new_hash = PASSWORD_HASHER.get().hash(
        new_password, is_known_caller=True, network=find_network(request.ip)
    )
    return NewPasswordHash(new_hash, version)


def set_new_password(
    user: UserRef, new: NewPasswordHash, *, actor: Actor, request: RequestInfo
) -> int:
    """Replace the password of a user, in the open transaction; their other sessions end.

    Args:
        new: from `check_new_password`.

    Returns:
        The new password's version.

    Raises:
        WrongPasswordError: the password was replaced meanwhile, or the account deactivated.
    """
    version = new.replaced_version + 1
    result = execute(
        update(User)
        .where(User.id == user.id, User.is_active, User.password_version == new.replaced_version)
        .values(
            password_hash=new.password_hash,
            password_version=version,
            failed_sign_ins=0,
            failed_second_factors=0,
            activated_at=_first_activation(),
            updated_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:
        raise WrongPasswordError
    emit(AuditAction.USER_PASSWORD_CHANGED, actor=actor, subject=user, request=request)
    return version


def _first_activation() -> ColumnElement[datetime]:
    return func.coalesce(TABLE.c.activated_at, literal(now(), UTCDateTime))


def replace_password(
    user: UserRef, *, email: str, new_hash: str, only_unactivated: bool = False
) -> int:
    """Set a password after a proof of the address, which becomes verified, in the open transaction.

    Args:
        user: the account.
        email: the address that the proof was sent to.
        new_hash: hash of the new password.
        only_unactivated: True for an invitation, which must not replace a credential.

    Returns:
        The new password's version.

    Raises:
        UserNotFoundError: the account is gone, deactivated or has another address now; or
            `only_unactivated` and it is activated.
    """
    condition = (User.id == user.id) & User.is_active & (User.email == email)
    if only_unactivated:
        condition &= ~is_activated()
    version = require_transaction().scalar(
        update(User)
        .where(condition)
        .values(
            password_hash=new_hash,
            password_version=User.password_version + 1,
            failed_sign_ins=0,
            failed_second_factors=0,
            activated_at=_first_activation(),
            email_verified=True,
            updated_at=now(),
        )
        .returning(User.password_version)
        .execution_options(synchronize_session=False)
    )
    if version is None:
        raise UserNotFoundError
    return version
