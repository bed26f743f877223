"""What password hashing really costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import argon2
import pytest


@contextmanager
def argon2_asked() -> Iterator[tuple[list[str], list[str]]]:
    """The parameters of every hash that Argon2 is asked to check in the block, and to make."""
    checked: list[str] = []
    made: list[str] = []
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
        yield checked, made


def _parameters(stored: bytes) -> str:
    """What a hash costs, without salt and tag."""
    return stored.decode().rsplit("$", 2)[0]
