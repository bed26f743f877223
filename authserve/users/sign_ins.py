"""Sign-ins in the row of their account, by proofs other than a password alone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, bindparam, case, func, or_, update

from authserve.database.transactions import UTCDateTime, execute
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS
from authserve.users.models import TABLE

_MOMENT = bindparam("moment", type_=UTCDateTime)

_RECORD_PASSKEY = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("owner_id"),
        TABLE.c.is_active,
        or_(~bindparam("needs_verified_email", type_=Boolean), TABLE.c.email_verified),
    )
    .values(last_login_at=_MOMENT, activated_at=func.coalesce(TABLE.c.activated_at, _MOMENT))
)


def record_passkey_login(user_id: UUID, *, needs_verified_email: bool, now: datetime) -> bool:
    """Record a sign-in with a passkey alone, in the open transaction.

    Wrong passwords that were counted stay counted: a passkey says nothing of who guesses.

    Args:
        user_id: the account.
        needs_verified_email: True if only a verified address may sign in.
        now: the time of the sign-in.

    Returns:
        False if the account is gone, deactivated or not verified; then no session may start. True
        holds the lock on the user's row, so such a change waits for the end of the transaction.
    """
    parameters = {
        "owner_id": user_id,
        "needs_verified_email": needs_verified_email,
        "moment": now,
    }
    return execute(_RECORD_PASSKEY, parameters).rowcount == 1


_IS_TOTP_ON = TABLE.c.failed_second_factors < MAX_FAILED_SECOND_FACTORS

_COUNT_WRONG = (
    update(TABLE)
    .where(TABLE.c.id == bindparam("owner_id"), _IS_TOTP_ON)
    .values(failed_second_factors=TABLE.c.failed_second_factors + 1)
    .returning(TABLE.c.failed_second_factors)
)

_RECORD_SECOND_STEP = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("owner_id"),
        TABLE.c.is_active,
        TABLE.c.password_version == bindparam("verified_version"),
    )
    .values(
        last_login_at=_MOMENT,
        activated_at=func.coalesce(TABLE.c.activated_at, _MOMENT),
        failed_second_factors=case((_IS_TOTP_ON, 0), else_=TABLE.c.failed_second_factors),
    )
)


def count_wrong_second_proof(user_id: UUID) -> bool:
    """Count a wrong second proof from an unknown device, in the open transaction.

    One UPDATE counts and returns the count, so exactly one of several simultaneous callers gets
    True. The count stops there.

    Returns:
        True if this one has switched TOTP off for unknown devices.
    """
    return execute(_COUNT_WRONG, {"owner_id": user_id}).scalar() == MAX_FAILED_SECOND_FACTORS


def record_second_step(user_id: UUID, *, verified_version: int, now: datetime) -> bool:
    """Record a sign-in whose second step has just succeeded, in the open transaction.

    Args:
        user_id: the account.
        verified_version: version of the password that the first step verified.
        now: the time of the sign-in.

    Returns:
        False if the account was deactivated or deleted meanwhile, or its password was replaced;
        then no session may start. True holds the lock on the user's row, so such a change waits
        for the end of the transaction and then sees the new session.
    """
    parameters = {"owner_id": user_id, "verified_version": verified_version, "moment": now}
    return execute(_RECORD_SECOND_STEP, parameters).rowcount == 1
