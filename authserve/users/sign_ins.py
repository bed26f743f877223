"""Sign-ins that are recorded in the row of their account, by proofs other than a password alone."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, bindparam, func, or_, update

from authserve.database.transactions import UTCDateTime, execute
from authserve.users.models import TABLE

_MOMENT = bindparam("moment", type_=UTCDateTime)

_RECORD = (
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
    return execute(_RECORD, parameters).rowcount == 1
