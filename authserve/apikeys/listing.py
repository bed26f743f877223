"""Lists of API keys, for their owners and for administrators."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from authserve.apikeys.models import APIKey
from authserve.apikeys.policy import MAX_LIVE_KEYS
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.database.statements import table_of
from authserve.database.transactions import read_all

_KEYS = table_of(APIKey)


@frozen(kw_only=True)
class KeyView:
    """A key as lists show it; expired ones stay in them until their owner makes another.

    Args:
        hint: its last letters.
        scopes: sorted.
        last_used_ip: None if it was not used, or another service asked for it.
    """

    id: UUID
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_used_ip: str | None


_VIEW = select(*(column for column in _KEYS.c if column.name not in ("user_id", "digest", "aal")))


def find_keys(
    user_id: UUID, *, limit: int = MAX_LIVE_KEYS, before: UUID | None = None
) -> list[KeyView]:
    """Return the keys of a user, newest first.

    Args:
        user_id: the owner.
        limit: greatest number of keys; no user has more than the default.
        before: only keys older than this id, for the next page.
    """
    statement = _VIEW.where(_KEYS.c.user_id == user_id).order_by(_KEYS.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_KEYS.c.id < before)
    return [_view(row) for row in read_all(statement)]


def _view(row: Row[Any]) -> KeyView:
    columns = dict(row._mapping)
    return KeyView(scopes=tuple(columns.pop("scope").split()), **columns)


def export_keys(user_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield what `find_keys` finds, for the copy of a user's data."""
    return (asdict(key) for key in find_keys(user_id))


@frozen(kw_only=True)
class KeyCounts:
    """Counts of live keys, for the operator.

    Args:
        live: all keys that have not expired, those of deactivated users included.
        unused: those of them that were neither made nor used since a time.
    """

    live: int
    unused: int


def count_live_keys(*, unused_since: datetime) -> KeyCounts:
    """Return how many keys are live, and how many of them are unused since a time."""
    is_live = _KEYS.c.expires_at > now()
    last_sign = func.coalesce(_KEYS.c.last_used_at, _KEYS.c.created_at)
    is_unused = last_sign < unused_since
    counts = (func.count().label("live"), func.count().filter(is_unused).label("unused"))
    row = read_all(select(*counts).select_from(_KEYS).where(is_live))[0]
    return KeyCounts(live=row.live, unused=row.unused)
