"""The use of an API key: the check of its text, and the record of its last use."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, update

from authserve.apikeys.models import APIKey
from authserve.apikeys.policy import USE_INTERVAL, KeyRefusal, is_use_due
from authserve.apikeys.queries import FoundKey, find_key
from authserve.core.errors import InvalidTokenError, TokenExpiredError
from authserve.core.key_text import is_key_text
from authserve.database.statements import table_of
from authserve.database.transactions import execute, transaction
from authserve.settings.model import SETTINGS

_KEYS = table_of(APIKey)


class UnknownKeyError(InvalidTokenError):
    """A well-formed key that no user has: a revoked one, or a guess."""


def use_key(text: str, *, ip: str | None, now: datetime) -> FoundKey:
    """Return the good key of this text, and record its use.

    A key with a typing error is refused without a query. A good one costs one SELECT, and at most
    one UPDATE in `USE_INTERVAL`.

    Args:
        text: what the caller presents.
        ip: the address that it is used from; None if another service presents it.

    Raises:
        UnknownKeyError: no user has it.
        InvalidTokenError: its form is wrong, or its owner is deactivated.
        TokenExpiredError: it has expired.
    """
    if not is_key_text(text, SETTINGS.get().api_key_prefix):
        raise InvalidTokenError
    found = find_key(text)
    if found is None:
        raise UnknownKeyError
    match found.find_refusal(now):
        case KeyRefusal.EXPIRED:
            raise TokenExpiredError
        case KeyRefusal.OWNER_INACTIVE:
            raise InvalidTokenError
    if is_use_due(found.row.last_used_at, now):
        _record_use(found.id, ip, now)
    return found


def _record_use(key_id: UUID, ip: str | None, now: datetime) -> None:
    """Write the last use, unless a simultaneous call has written one."""
    used_at = _KEYS.c.last_used_at
    is_due = or_(used_at.is_(None), used_at <= now - USE_INTERVAL)
    values = {"last_used_at": now, "last_used_ip": ip}
    with transaction():
        execute(update(_KEYS).where(_KEYS.c.id == key_id, is_due).values(values))
