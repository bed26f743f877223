"""The rules of signing keys: a key's times decide whether it is published, signs or verifies."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

ROTATION_PERIOD = timedelta(days=90)
"""Time that a key signs before the next one is made (chosen; ASVS 11.1.1 requires a period)."""

JWKS_MAX_AGE = timedelta(seconds=300)
"""Time for which clients may cache the key set (`Cache-Control` in the API contract)."""

MAX_APP_TOKEN_TTL = timedelta(hours=1)
"""Longest lifetime that a client's access tokens can have: other services accept a token that long
after its session has ended (design). ID tokens and logout tokens live for less."""

LEEWAY = timedelta(seconds=30)
"""Largest accepted difference between two machines' clocks."""

CACHE_TTL = timedelta(seconds=2)
"""Time for which a worker uses the keys that it read; after it, the worker sees a rotation."""


class KeyState(StrEnum):
    """The states of a key, in the order of its life."""

    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


class RotationCause(StrEnum):
    """The reasons for a new key: a closed list, shown in the audit trail."""

    DUE = "due"
    ORDER = "order"
    EMERGENCY = "emergency"


class KeyTimes(Protocol):
    """The columns of a key that the rules read."""

    @property
    def serial(self) -> int:
        """Its number; a later key has a greater one."""

    @property
    def active_from(self) -> datetime:
        """Start of signing."""

    @property
    def retire_at(self) -> datetime | None:
        """Time from which its tokens are rejected; None while it has no successor."""


KeyT = TypeVar("KeyT", bound=KeyTimes)


def is_over(key: KeyTimes, now: datetime) -> bool:
    """Return True if tokens of this key are no longer accepted."""
    return key.retire_at is not None and now >= key.retire_at


def is_ended_by_emergency(key: KeyTimes, keys: Iterable[KeyTimes]) -> bool:
    """Return True if an emergency retired a key, so that even its old signatures prove nothing.

    An emergency retires keys at the time from which its new key signs; every other retirement is
    later than that time (`retirement`).

    Args:
        key: the key in question.
        keys: all keys, retired ones included.
    """
    later = (other for other in keys if other.serial > key.serial)
    return any(other.active_from == key.retire_at for other in later)


def usable_keys(keys: Iterable[KeyT], now: datetime) -> list[KeyT]:
    """Return the keys of the JWKS: those that verify tokens now, and the next one."""
    return [key for key in keys if not is_over(key, now)]


def find_signing_key(keys: Iterable[KeyT], now: datetime) -> KeyT | None:
    """Return the key that signs now: the newest active one; None if no key is active."""
    active = [key for key in usable_keys(keys, now) if key.active_from <= now]
    return max(active, key=lambda key: key.serial, default=None)


def key_state(key: KeyTimes, signing: KeyTimes | None, now: datetime) -> KeyState:
    """Return the state of `key`, for `flask keys list`.

    Args:
        key: the key in question.
        signing: the key that signs now; None if no key does.
        now: the current time.
    """
    if is_over(key, now):
        return KeyState.RETIRED
    if now < key.active_from:
        return KeyState.PUBLISHED
    return KeyState.ACTIVE if key is signing else KeyState.RETIRING


def is_key_needed(newest: KeyTimes | None, cause: RotationCause, now: datetime) -> bool:
    """Return True if a new key has to be made.

    Args:
        newest: the key with the greatest serial; None before the first.
        cause: the reason. An ORDER needs no further key while the next key does not sign yet, so
            two orders in a row, or two operators, make one key.
        now: the current time.
    """
    if newest is None or is_over(newest, now) or cause is RotationCause.EMERGENCY:
        return True
    age = now - newest.active_from
    return age >= (timedelta(0) if cause is RotationCause.ORDER else ROTATION_PERIOD)


def first_signature(now: datetime, *, is_urgent: bool) -> datetime:
    """Return the time from which a key made now signs.

    Args:
        now: the current time.
        is_urgent: True if no earlier key may sign any more. The time is then in the past, so that
            a machine whose clock is slow uses the key at once too. Otherwise the key is published
            first, until every verifier's cached key set has it.
    """
    return now - LEEWAY if is_urgent else now + JWKS_MAX_AGE + CACHE_TTL + LEEWAY


def retirement(successor_active_from: datetime, token_ttl: timedelta) -> datetime:
    """Return the time at which the last token of a key has expired.

    Args:
        successor_active_from: start of signing of the next key.
        token_ttl: lifetime of the longest token.
    """
    return successor_active_from + CACHE_TTL + token_ttl + 2 * LEEWAY
