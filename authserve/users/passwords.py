"""What has to do with an account's password: signing in by it, confirming it, replacing it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Text, bindparam, func, literal, or_, update

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.database.emit import emit
from authserve.database.transactions import UTCDateTime, require_transaction, transaction
from authserve.passwords.hasher import get_password_hasher
from authserve.passwords.validation import require_acceptable_password
from authserve.ratelimit.throttle import (
    NOTHING_COUNTED,
    ThrottleKey,
    account_key,
    address_key,
    counted_by,
    hashing_network,
    identifier_key,
    record_failure,
    record_success,
    require_allowed,
)
from authserve.users.credentials import get_credentials
from authserve.users.errors import UserNotFoundError, WrongPasswordError
from authserve.users.events import PasswordRejected, UserPasswordChanged
from authserve.users.lockout import count_after_success, count_wrong_password, is_password_enabled
from authserve.users.models import TABLE, User, is_activated


def record_login(
    user_id: UUID,
    *,
    verified_version: int,
    is_known_device: bool,
    keys: Sequence[ThrottleKey] = (),
    new_hash: str | None = None,
) -> bool:
    """Note a sign-in whose password was just verified, in the open transaction.

    Args:
        verified_version: of the password that was right. Its hash may be another by now, as a
            sign-in at the same moment may have replaced one that was made with older parameters.
        is_known_device: for which a password that is switched off is good all the same.
        keys: what wrong passwords are counted by; those that this one clears are cleared.
        new_hash: replaces the stored one, for that reason.

    Returns:
        False if the account was deactivated, deleted or given another password meanwhile, or
        the one that it has was switched off; then no session may start. Holding this row's
        lock keeps all of those waiting until the session exists, so that whichever comes second
        sees the first.

    Raises:
        TooManyAttemptsError: a block has begun; the open transaction must not go on.
    """
    parameters = {
        "user_id": user_id,
        "verified_version": verified_version,
        "is_known_device": is_known_device,
        "moment": now(),
        "new_hash": new_hash,
    }
    execute = require_transaction().execute
    # In nearly all sign-ins nothing was counted, and one statement is all it takes.
    if execute(_RECORD_FIRST_TRY, {**parameters, **counted_by(keys)}).rowcount:  # type: ignore[attr-defined]
        return True
    if not execute(_RECORD_LOGIN, parameters).rowcount:  # type: ignore[attr-defined]
        return False
    record_success(keys)
    return True


_RECORD_LOGIN = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("user_id"),
        TABLE.c.is_active,
        TABLE.c.password_version == bindparam("verified_version"),
        or_(bindparam("is_known_device", type_=Boolean), is_password_enabled()),
    )
    .values(
        last_login_at=bindparam("moment", type_=UTCDateTime),
        activated_at=func.coalesce(TABLE.c.activated_at, bindparam("moment", type_=UTCDateTime)),
        failed_sign_ins=count_after_success(),
        password_hash=func.coalesce(bindparam("new_hash", type_=Text), TABLE.c.password_hash),
    )
)
_RECORD_FIRST_TRY = _RECORD_LOGIN.where(NOTHING_COUNTED)
"""Built once, since that is the greater part of their time (measured)."""


def confirm_password(user: UserRef, password: str, *, actor: Actor, request: RequestInfo) -> int:
    """Check the password that somebody signed in gives once more.

    A wrong one counts against the account's sign-ins too, wherever it is given; but strangers
    who guess at the sign-in do not keep the owner from this, whose token proves who they are.

    Args:
        actor: a visitor where a mailed link says whose password it should be; such a caller is
            a stranger, for whom a password that is switched off is always wrong.

    Returns:
        The version of the password that was right, as the condition of what follows.

    Raises:
        UserNotFoundError: the account is gone.
        WrongPasswordError: it is wrong, or there is none.
        TooManyAttemptsError: too many wrong ones came before.
        HasherBusyError: too many passwords wait to be checked.
    """
    keys = [account_key(user.id), *address_key(request.ip)]
    require_allowed(keys)
    credentials = get_credentials(user.id)
    stored_hash = credentials.hash_for(is_known_caller=actor.user is not None)
    verification = get_password_hasher().verify(
        password,
        stored_hash,
        is_known_caller=actor.user is not None,
        network=hashing_network(request),
    )
    if verification.is_valid:
        record_success(keys)
        return credentials.password_version
    sign_in_key = identifier_key(credentials.email)
    record_failure(keys, also=[sign_in_key], actor=actor, subject=user, request=request)
    with transaction(durable=True):
        count_wrong_password(credentials, request=request)
        emit(PasswordRejected(actor=actor, subject=user, request=request))
    raise WrongPasswordError


def change_password(
    user: UserRef,
    *,
    current_password: str,
    new_password: str,
    actor: Actor,
    request: RequestInfo,
) -> None:
    """Replace the password of somebody who knows it; their other sessions end.

    Raises:
        ValidationFailedError: the new password is not acceptable.
        WrongPasswordError: the current one is wrong, or was replaced meanwhile.
        TooManyAttemptsError, HasherBusyError, UserNotFoundError: see `confirm_password`.
    """
    context = get_credentials(user.id).names
    require_acceptable_password(new_password, context=context, field="new_password")
    version = confirm_password(user, current_password, actor=actor, request=request)
    new_hash = get_password_hasher().hash(
        new_password, is_known_caller=True, network=hashing_network(request)
    )
    with transaction() as session:
        result = session.execute(
            update(User)
            .where(User.id == user.id, User.is_active, User.password_version == version)
            .values(
                password_hash=new_hash,
                password_version=version + 1,
                failed_sign_ins=0,
                activated_at=_first_activation(),
                updated_at=now(),
            )
            .execution_options(synchronize_session=False)
        )
        if result.rowcount != 1:  # type: ignore[attr-defined]
            raise WrongPasswordError
        emit(UserPasswordChanged(actor=actor, subject=user, request=request))


def _first_activation() -> ColumnElement[datetime]:
    return func.coalesce(TABLE.c.activated_at, literal(now(), UTCDateTime))


def replace_password(
    user: UserRef, *, email: str, new_hash: str, only_unactivated: bool = False
) -> int:
    """Set a password by the proof of an address, in the open transaction; it is verified then.

    Args:
        email: the address that the proof was sent to.
        only_unactivated: for an invitation, which must not replace a credential.

    Returns:
        The password's version.

    Raises:
        UserNotFoundError: no active account has the address any more, or it was activated.
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
