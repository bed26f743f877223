"""Usernames that were given up, held for their former owner because applications trust names.

Every use case that writes a username checks for a hold after the write, in the same transaction.
The unique index makes the write wait for a transaction that gives the name up, so the check sees
the hold.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select

from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.transactions import delete_in_slices, read_all, require_transaction
from authserve.ratelimit.errors import RateLimitedError
from authserve.settings.model import SETTINGS
from authserve.users.errors import UsernameTakenError
from authserve.users.models import ReleasedUsername

MAX_HELD_PER_USER = 5
"""Greatest number of usernames held for one account; beyond it the oldest holds end."""

MAX_RENAMES_A_DAY = 5
"""Usernames that an owner may give up in `RENAME_WINDOW`; no more than are held at once."""

RENAME_WINDOW = timedelta(days=1)


def release_username(username: str, *, former_owner: UUID | None) -> None:
    """Hold a username that an account gives up, in the open transaction.

    Args:
        username: in canonical form.
        former_owner: the account that may take it back; None if the account is being deleted.
    """
    if not SETTINGS.get().username_hold:
        return
    execute = require_transaction().execute
    row = {"digest": _digest(username), "user_id": former_owner, "released_at": now()}
    execute(insert(ReleasedUsername), row)
    if former_owner is not None:
        newest = (
            select(ReleasedUsername.id)
            .where(ReleasedUsername.user_id == former_owner)
            .order_by(ReleasedUsername.released_at.desc(), ReleasedUsername.id.desc())
            .limit(MAX_HELD_PER_USER)
        )
        is_old = ReleasedUsername.user_id == former_owner, ReleasedUsername.id.not_in(newest)
        execute(delete(ReleasedUsername).where(*is_old), execution_options=_NO_SYNC)


_NO_SYNC = {"synchronize_session": False}


def require_not_held(owners: Mapping[str, UUID]) -> None:
    """Refuse usernames that are held for another account, in the transaction that wrote them.

    Args:
        owners: the id of the account that has each name now, by canonical name.

    Raises:
        UsernameTakenError: a name is held; the transaction must not go on.
    """
    if find_held_usernames(owners):
        raise UsernameTakenError


def find_held_usernames(owners: Mapping[str, UUID | None]) -> set[str]:
    """Return the usernames that are held for another account than the one that wants them.

    Args:
        owners: the id of the account that wants each name, by canonical name; None for an account
            that does not exist yet.
    """
    hold = SETTINGS.get().username_hold
    if not owners or not hold:
        return set()
    names = {_digest(name): name for name in owners}
    held = select(ReleasedUsername.digest, ReleasedUsername.user_id).where(
        ReleasedUsername.digest.in_(names), ReleasedUsername.released_at > now() - hold
    )
    return {
        names[row.digest]
        for row in read_all(held)
        if row.user_id is None or row.user_id != owners[names[row.digest]]
    }


def require_may_rename(user_id: UUID) -> None:
    """Refuse an owner's change of username if there were too many, in the open transaction.

    Raises:
        RateLimitedError: the owner gave up `MAX_RENAMES_A_DAY` usernames within `RENAME_WINDOW`.
    """
    moment = now()
    recent = (
        select(ReleasedUsername.released_at)
        .where(
            ReleasedUsername.user_id == user_id,
            ReleasedUsername.released_at > moment - RENAME_WINDOW,
        )
        .order_by(ReleasedUsername.released_at)
    )
    times = [row.released_at for row in read_all(recent)]
    if SETTINGS.get().username_hold and len(times) >= MAX_RENAMES_A_DAY:
        wait = times[0] + RENAME_WINDOW - moment
        raise RateLimitedError(retry_after_secs=int(wait.total_seconds()) + 1)


def purge_released_usernames() -> Iterator[int]:
    """Delete the usernames that are no longer held, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_over = ReleasedUsername.released_at <= now() - SETTINGS.get().username_hold
    return delete_in_slices(ReleasedUsername, ReleasedUsername.id, is_over)


def _digest(username: str) -> bytes:
    return digest(username.encode())
