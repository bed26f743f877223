"""Sign-ins in the row of their account: by proofs other than a password alone, and once seen."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, bindparam, case, func, or_, update

from authserve.core.levels import Level
from authserve.database.statements import UTCDateTime
from authserve.database.transactions import execute
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS
from authserve.users.models import TABLE

_MOMENT = bindparam("moment", type_=UTCDateTime)
_SIGNED_IN_AT = bindparam("signed_in_at", type_=UTCDateTime)

_RECORD_PASSKEY = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("owner_id"),
        TABLE.c.is_active,
        or_(~bindparam("needs_verified_email", type_=Boolean), TABLE.c.email_verified),
    )
    .values(last_login_at=_MOMENT, activated_at=func.coalesce(TABLE.c.activated_at, _MOMENT))
)

_RECORD_EMAIL_LOGIN = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("owner_id"),
        TABLE.c.is_active,
        TABLE.c.email == bindparam("proven_email"),
        TABLE.c.email_verified,
        or_(bindparam("may_start", type_=Boolean), ~TABLE.c.mfa_enabled),
    )
    .values(
        last_login_at=func.coalesce(_SIGNED_IN_AT, TABLE.c.last_login_at),
        activated_at=func.coalesce(TABLE.c.activated_at, _MOMENT),
    )
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


def record_email_login(user_id: UUID, *, email: str, level: Level | None, now: datetime) -> bool:
    """Record a right mailed code of a sign-in, in the open transaction.

    Wrong passwords that were counted stay counted: a mailbox says nothing of who guesses.

    Args:
        user_id: the account.
        email: the address that the code has proven.
        level: of the session that is about to start; below `AAL2` it may not start once the account
            has switched its second factor on. None if an enrolment comes first: then
            `last_login_at` stays.
        now: the time of the sign-in.

    Returns:
        False if the account is gone, deactivated, or has another address or an unverified one, or
        needs a higher level now; then nothing may follow. True holds the lock on the user's row, so
        such a change waits for the end of the transaction.
    """
    parameters = {
        "owner_id": user_id,
        "proven_email": email,
        "may_start": level is None or level >= Level.AAL2,
        "signed_in_at": None if level is None else now,
        "moment": now,
    }
    return execute(_RECORD_EMAIL_LOGIN, parameters).rowcount == 1


_RECORD_PROVIDER_LOGIN = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("owner_id"),
        TABLE.c.is_active,
        or_(~bindparam("needs_verified_email", type_=Boolean), TABLE.c.email_verified),
        or_(bindparam("may_start", type_=Boolean), ~TABLE.c.mfa_enabled),
    )
    .values(
        last_login_at=func.coalesce(_SIGNED_IN_AT, TABLE.c.last_login_at),
        activated_at=func.coalesce(TABLE.c.activated_at, _MOMENT),
    )
)


def record_provider_login(
    user_id: UUID, *, needs_verified_email: bool, level: Level | None, now: datetime
) -> bool:
    """Record a sign-in by another provider, in the open transaction.

    Wrong passwords that were counted stay counted: a provider says nothing of who guesses.

    Args:
        user_id: the account that has the identity.
        needs_verified_email: True if only a verified address may sign in.
        level: of the session that is about to start; below `AAL2` it may not start once the account
            has switched its second factor on. None if a second step comes first: then
            `last_login_at` stays.
        now: the time of the sign-in.

    Returns:
        False if the account is gone, deactivated or not verified, or needs a higher level now; then
        nothing may follow. True holds the lock on the user's row, so such a change waits for the
        end of the transaction.
    """
    parameters = {
        "owner_id": user_id,
        "needs_verified_email": needs_verified_email,
        "may_start": level is None or level >= Level.AAL2,
        "signed_in_at": None if level is None else now,
        "moment": now,
    }
    return execute(_RECORD_PROVIDER_LOGIN, parameters).rowcount == 1


_MARK_SEEN = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("owner_id"),
        or_(
            TABLE.c.activity_seen_at.is_(None),
            TABLE.c.activity_seen_at < bindparam("seen_until", type_=UTCDateTime),
        ),
    )
    .values(activity_seen_at=bindparam("seen_until", type_=UTCDateTime))
)


def mark_activity_seen(user_id: UUID, *, until: datetime) -> bool:
    """Record that a user has answered for the sign-ins up to a time, in the open transaction.

    Returns:
        False if the user had answered up to then before, or the account is gone.
    """
    return execute(_MARK_SEEN, {"owner_id": user_id, "seen_until": until}).rowcount == 1
