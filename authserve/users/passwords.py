"""Passwords of accounts: record a login, count wrong ones, and confirm them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    bindparam,
    case,
    exists,
    func,
    or_,
    update,
)

from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.events import AuditAction, Outcome
from authserve.core.levels import Level
from authserve.database.emit import emit
from authserve.database.statements import PreparedStatement, UTCDateTime
from authserve.database.transactions import execute_prepared, require_transaction, transaction
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.ratelimit.policy import find_network
from authserve.ratelimit.throttle import (
    record_failure,
    record_success,
    require_allowed,
)
from authserve.ratelimit.throttle_keys import (
    IS_NAMED,
    ThrottleKey,
    account_key,
    address_key,
    identifier_key,
    name_parameters,
)
from authserve.users.credentials import MAX_FAILED_SIGN_INS, Credentials, get_credentials
from authserve.users.errors import WrongPasswordError
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


def record_login(
    user_id: UUID,
    *,
    verified_version: int,
    is_known_device: bool,
    level: Level | None,
    keys: Sequence[ThrottleKey] = (),
    new_hash: str | None = None,
    now: datetime,
) -> bool:
    """Record a right password of a sign-in, in the open transaction.

    Args:
        user_id: the account.
        verified_version: version of the verified password. Its hash may differ by now, because a
            concurrent sign-in may have replaced a hash with older parameters.
        is_known_device: True accepts a disabled password.
        level: of the session that is about to start; below `AAL2` it may not start once the account
            has switched its second factor on. None if a second step comes first: then
            `last_login_at` stays.
        keys: counters of wrong passwords; see `record_success`.
        new_hash: replaces the stored hash if that has older parameters; None keeps it.
        now: the time of the sign-in.

    Returns:
        False if the account was deactivated or deleted meanwhile, its password was replaced or
        disabled, or it needs a higher level now; then no session may start. True holds the lock
        on the user's row, so such a change waits for the end of the transaction and then sees the
        new session.

    Raises:
        TooManyAttemptsError: a block has begun; the open transaction must not go on.
    """
    parameters = {
        "user_id": user_id,
        "verified_version": verified_version,
        "is_known_device": is_known_device,
        "may_start": level is None or level >= Level.AAL2,
        "signed_in_at": None if level is None else now,
        "moment": now,
        "new_hash": new_hash,
    }
    counters = name_parameters([key.key for key in keys])
    # In nearly all sign-ins no counter exists, so one statement is enough.
    if execute_prepared(_RECORD_FIRST_TRY, {**parameters, **counters}):
        return True
    if not execute_prepared(_RECORD_LOGIN, parameters):
        return False
    record_success(keys)
    return True


_UPDATE = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("user_id"),
        TABLE.c.is_active,
        TABLE.c.password_version == bindparam("verified_version"),
        or_(bindparam("is_known_device", type_=Boolean), is_password_enabled()),
        or_(bindparam("may_start", type_=Boolean), ~TABLE.c.mfa_enabled),
    )
    .values(
        last_login_at=func.coalesce(
            bindparam("signed_in_at", type_=UTCDateTime), TABLE.c.last_login_at
        ),
        activated_at=func.coalesce(TABLE.c.activated_at, bindparam("moment", type_=UTCDateTime)),
        failed_sign_ins=count_after_success(),
        password_hash=func.coalesce(bindparam("new_hash", type_=Text), TABLE.c.password_hash),
    )
    .returning(TABLE.c.id)
)
_RECORD_LOGIN = PreparedStatement(_UPDATE, name="record_login")
_RECORD_FIRST_TRY = PreparedStatement(
    _UPDATE.where(~exists().where(IS_NAMED)), name="record_login_first_try"
)
"""Changes nothing if one of the counters exists; then `record_success` decides.

It reads the table of `ratelimit`, because another statement would be another round trip of each
sign-in."""


def confirm_password(user: UserRef, password: str, *, actor: Actor, request: RequestInfo) -> int:
    """Verify the password that a signed-in user confirms.

    A wrong password also counts against sign-ins with the account's email address. Failed sign-ins
    from other client addresses do not block this call, because it counts by account, not by email.

    Args:
        user: the account whose password it should be.
        password: as given.
        actor: a visitor if a mailed link names the account. Such a caller is a stranger, for whom
            a disabled password is always wrong.
        request: for the counters and the audit events.

    Returns:
        The version of the verified password, for the condition of a following change.

    Raises:
        UserNotFoundError: the account is gone.
        WrongPasswordError: the password is wrong, or the account has none.
        TooManyAttemptsError: too many wrong passwords came before.
        HasherBusyError: too many passwords wait to be verified.
    """
    keys = [account_key(user.id), *address_key(request.ip)]
    require_allowed(keys)
    credentials = get_credentials(user.id)
    stored_hash = credentials.hash_for(is_known_caller=actor.user is not None)
    verification = PASSWORD_HASHER.get().verify(
        password,
        stored_hash,
        is_known_caller=actor.user is not None,
        network=find_network(request.ip),
    )
    if verification.is_valid:
        record_success(keys)
        return credentials.password_version
    sign_in_key = identifier_key(credentials.email)
    record_failure(keys, also=[sign_in_key], actor=actor, subject=user, request=request)
    with transaction(durable=True):
        count_wrong_password(credentials, request=request)
        emit(
            AuditAction.SESSION_REAUTHENTICATION_FAILED,
            outcome=Outcome.FAILURE,
            actor=actor,
            subject=user,
            request=request,
        )
    raise WrongPasswordError
