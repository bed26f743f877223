"""The rules of API keys: their numbers, their scopes, and what a key may do now."""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from authserve.http.callers import ACCOUNT_SCOPE
from authserve.rbac.policy import is_known_permission

MIN_LIFETIME = timedelta(seconds=60)
MAX_LIFETIME = timedelta(days=365)
DEFAULT_LIFETIME = timedelta(days=90)
"""Lifetimes of a key (design): every key expires, so a forgotten one does not stay good."""

NAME_MAX_LENGTH = 64
"""Characters of a key's name (chosen, as of a passkey's)."""

MAX_LIVE_KEYS = 50
"""Keys of a user that have not expired (design)."""

MAX_SCOPES = 50
"""Scopes of a key (chosen): more than one program needs."""

USE_INTERVAL = timedelta(minutes=1)
"""Least time between two writes of a key's last use (design)."""


class KeyRefusal(StrEnum):
    """Reasons for which a key that exists is refused."""

    EXPIRED = "expired"
    OWNER_INACTIVE = "owner_inactive"


def is_scope(name: str) -> bool:
    """Return True if a key can have this scope: `account`, or a permission."""
    return name == ACCOUNT_SCOPE or is_known_permission(name)


def permissions_of(scopes: Collection[str]) -> frozenset[str]:
    """Return the scopes that are permissions."""
    return frozenset(scopes) - {ACCOUNT_SCOPE}


def find_refusal(
    *, expires_at: datetime, is_owner_active: bool, now: datetime
) -> KeyRefusal | None:
    """Return why a key is refused now, or None if it is good."""
    if not is_owner_active:
        return KeyRefusal.OWNER_INACTIVE
    return KeyRefusal.EXPIRED if now >= expires_at else None


def effective_scopes_of(
    scopes: Collection[str], *, permissions: Collection[str], holds_everything: bool
) -> frozenset[str]:
    """Return the scopes of a key that have effect now.

    A scope that the owner no longer holds has no effect until the owner holds it again. The role
    of administrators gives a key no more than its scopes.

    Args:
        scopes: of the key.
        permissions: those of its owner's effective roles, at the key's level.
        holds_everything: True if one of these roles is the administrator's.
    """
    if holds_everything:
        return frozenset(scopes)
    return frozenset(scopes) & {ACCOUNT_SCOPE, *permissions}


def is_use_due(last_used_at: datetime | None, now: datetime) -> bool:
    """Return True if a use of a key must be written."""
    return last_used_at is None or now - last_used_at >= USE_INTERVAL
