"""The real cost of password hashing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from authserve.passwords import argon2id
from authserve.passwords.foreign_hashes import argon2 as foreign_argon2

Asked = tuple[list[str], list[str]]
"""The parameters of every hash that was checked, and of every one that was made."""


@contextmanager
def argon2_asked() -> Iterator[Asked]:
    """Record the calls of Argon2 in the block, in either library."""
    with sodium_asked() as asked, _reference_asked(asked):
        yield asked


@contextmanager
def sodium_asked() -> Iterator[Asked]:
    """Record the calls of libsodium in the block."""
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
    checked, _ = asked
    derive = foreign_argon2.hash_secret_raw

    def verify(*args: Any) -> bytes:
        _, _, passes, memory_kib, lanes, _, kind, version = args
        parameters = f"v={version}$m={memory_kib},t={passes},p={lanes}"
        checked.append(f"$argon2{kind.name.lower()}${parameters}")
        return derive(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign_argon2, "hash_secret_raw", verify)
        yield


def _parameters(stored: bytes) -> str:
    """Return the parameters of a hash, without salt and tag."""
    return stored.decode().rsplit("$", 2)[0]
