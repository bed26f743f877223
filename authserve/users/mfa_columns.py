"""Second factors in the row of their account: the switch, and a reset that waits for its time."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from authserve.core.clock import now
from authserve.database.transactions import execute, read_all
from authserve.users.models import TABLE


def switch_mfa(user_id: UUID, *, is_enabled: bool) -> bool:
    """Set if an account's sign-ins need a second factor, in the open transaction.

    Returns:
        False if the switch had that position already, or the account is gone.
    """
    statement = (
        update(TABLE)
        .where(TABLE.c.id == user_id, TABLE.c.mfa_enabled.is_not(is_enabled))
        .values(mfa_enabled=is_enabled, updated_at=now())
    )
    return execute(statement).rowcount == 1


def schedule_mfa_reset(user_id: UUID, effective_at: datetime) -> None:
    """Set when an account's second factors are reset, in the open transaction."""
    execute(update(TABLE).where(TABLE.c.id == user_id).values(mfa_reset_at=effective_at))


def end_mfa_reset(user_id: UUID, *, due_at: datetime | None = None) -> bool:
    """End a pending reset of an account's second factors, in the open transaction.

    Args:
        user_id: the account.
        due_at: only a reset that is due at this time; None ends any.

    Returns:
        False if none was pending, so of several callers one gets True.
    """
    due = TABLE.c.mfa_reset_at
    is_pending = due.is_not(None) if due_at is None else due <= due_at
    statement = update(TABLE).where(TABLE.c.id == user_id, is_pending).values(mfa_reset_at=None)
    return execute(statement).rowcount == 1


def find_due_mfa_resets(*, due_at: datetime, limit: int) -> list[UUID]:
    """Return at most `limit` accounts whose reset is due at a time, longest due first."""
    due = TABLE.c.mfa_reset_at <= due_at
    statement = select(TABLE.c.id).where(due).order_by(TABLE.c.mfa_reset_at).limit(limit)
    return [row.id for row in read_all(statement)]
