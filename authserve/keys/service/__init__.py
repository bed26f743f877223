"""Signing keys: each worker's view of them, and how a new one is made.

A worker keeps the keys in memory and reads them again every `CACHE_TTL`, so that a rotation by
another worker, machine or command is followed within seconds, without a restart.
"""

from authserve.keys.policy import KeyState, RotationCause
from authserve.keys.service.rotation import (
    ALGORITHM,
    ListedKey,
    NewestKey,
    list_keys,
    rewrap,
    rotate,
)
from authserve.keys.service.rows import KeyDates, find_key_dates
from authserve.keys.service.store import KEY_STORE_EXTENSION, KeyStore, get_key_store

__all__ = [
    "ALGORITHM",
    "KEY_STORE_EXTENSION",
    "KeyDates",
    "KeyState",
    "KeyStore",
    "ListedKey",
    "NewestKey",
    "RotationCause",
    "find_key_dates",
    "get_key_store",
    "list_keys",
    "rewrap",
    "rotate",
]
