"""What password hashing really costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import argon2
import pytest

from authserve.core import argon2id

Asked = tuple[list[str], list[str]]
"""The parameters of every hash that was checked, and of every one that was made."""


@contextmanager
def argon2_asked() -> Iterator[Asked]:
    """What Argon2 is asked to do in the block, whichever library computes it."""
    with sodium_asked() as asked, _reference_asked(asked):
        yield asked


@contextmanager
def sodium_asked() -> Iterator[Asked]:
    """What libsodium is asked to do in the block."""
    checked: list[str] = []
    made: list[str] = []
    derive, derive_string = argon2id.crypto_pwhash_alg, argon2id.crypto_pwhash_str_alg

    def verify(size: int, secret: bytes, salt: bytes, *limits: int) -> bytes:
        passes, memory_bytes, _ = limits
        checked.append(f"$argon2id$v=19$m={memory_bytes // 1024},t={passes},p=1")
        return derive(size, secret, salt, *limits)

    def make(secret: bytes, *limits: int) -> bytes:
        stored = derive_string(secret, *limits)
        made.append(_parameters(stored))
        return stored

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2id, "crypto_pwhash_alg", verify)
        patch.setattr(argon2id, "crypto_pwhash_str_alg", make)
        yield checked, made


@contextmanager
def _reference_asked(asked: Asked) -> Iterator[None]:
    checked, made = asked
    verify_secret, hash_secret = argon2.low_level.verify_secret, argon2.low_level.hash_secret

    def verify(stored: bytes, secret: bytes, kind: argon2.Type) -> bool:
        checked.append(_parameters(stored))
        return verify_secret(stored, secret, kind)

    def make(*args: Any, **kwargs: Any) -> bytes:
        stored = hash_secret(*args, **kwargs)
        made.append(_parameters(stored))
        return stored

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argon2.low_level, "verify_secret", verify)
        patch.setattr(argon2.low_level, "hash_secret", make)
        yield


def _parameters(stored: bytes) -> str:
    """What a hash costs, without salt and tag."""
    return stored.decode().rsplit("$", 2)[0]
