"""What may be done with a signing key at a moment: it follows from its three times alone."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

ROTATION_PERIOD = timedelta(days=90)
"""How long a key signs before the next one is made (chosen; ASVS 11.1.1 wants a period)."""

JWKS_MAX_AGE = timedelta(seconds=300)
"""For how long others may cache the key set (the contract's `Cache-Control`)."""

LEEWAY = timedelta(seconds=30)
"""How far two machines' clocks may differ."""

CACHE_TTL = timedelta(seconds=2)
"""For how long a worker goes on with the keys that it read; a rotation is seen by then."""


class KeyState(StrEnum):
    """The life of a key."""

    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


class RotationCause(StrEnum):
    """Why a new key may be due: a closed list, which the audit trail shows."""

    DUE = "due"
    ORDER = "order"
    EMERGENCY = "emergency"


class KeyTimes(Protocol):
    """The columns of a key by which it is judged."""

    @property
    def serial(self) -> int:
        """Its number; a later key has a greater one."""

    @property
    def active_from(self) -> datetime:
        """From when on it signs."""

    @property
    def retire_at(self) -> datetime | None:
        """From when on nothing that it signed is believed; None while there is no successor."""


KeyT = TypeVar("KeyT", bound=KeyTimes)


def is_over(key: KeyTimes, now: datetime) -> bool:
    """Whether nothing that this key signed is believed any more."""
    return key.retire_at is not None and now >= key.retire_at


def usable_keys(keys: Iterable[KeyT], now: datetime) -> list[KeyT]:
    """The keys that may verify a token now, and the next one: what the JWKS shows."""
    return [key for key in keys if not is_over(key, now)]


def find_signing_key(keys: Iterable[KeyT], now: datetime) -> KeyT | None:
    """The key that signs now: the newest that is active."""
    active = [key for key in usable_keys(keys, now) if key.active_from <= now]
    return max(active, key=lambda key: key.serial, default=None)


def key_state(key: KeyTimes, signing: KeyTimes | None, now: datetime) -> KeyState:
    """What `flask keys list` calls the state of `key`, `signing` being the one that signs."""
    if is_over(key, now):
        return KeyState.RETIRED
    if now < key.active_from:
        return KeyState.PUBLISHED
    return KeyState.ACTIVE if key is signing else KeyState.RETIRING


def is_key_needed(newest: KeyTimes | None, cause: RotationCause, now: datetime) -> bool:
    """Whether a new key has to be made.

    Args:
        newest: the key with the greatest serial, None before the first.
        cause: what asks for it. An order is already served while the next key waits for its
            time to sign, so that two orders in a row, or two operators, make one key.
    """
    if newest is None or is_over(newest, now) or cause is RotationCause.EMERGENCY:
        return True
    age = now - newest.active_from
    return age >= (timedelta(0) if cause is RotationCause.ORDER else ROTATION_PERIOD)


def first_signature(now: datetime, *, is_urgent: bool) -> datetime:
    """From when on a key that is made now signs.

    Args:
        is_urgent: there is no key before it, or none that may sign on. Then it begins in the
            past, so that it counts at once also on a machine whose clock is behind. Otherwise it
            is shown first, for so long that no verifier meets an unknown key.
    """
    return now - LEEWAY if is_urgent else now + JWKS_MAX_AGE + CACHE_TTL + LEEWAY


def retirement(successor_active_from: datetime, access_token_ttl: timedelta) -> datetime:
    """When the last token that a key signed has expired, its successor taking over as given."""
    return successor_active_from + CACHE_TTL + access_token_ttl + 2 * LEEWAY
