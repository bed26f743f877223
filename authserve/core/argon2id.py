"""Argon2id by libsodium, where libpass would have it computed by argon2-cffi.

The result is the same to the bit (RFC 9106); only libsodium's code takes what the processor offers
(AVX2, AVX-512), and so 55 % of the time (9.3 ms instead of 17.0, measured). A guesser has such code
anyway. It also takes its memory from the system and gives it back with each hash, where the other's
stays with malloc.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nacl.bindings import (
    crypto_pwhash_alg,
    crypto_pwhash_ALG_ARGON2ID13,
    crypto_pwhash_str_alg,
)
from nacl.exceptions import RuntimeError as SodiumError
from passlib import hash as libpass
from passlib.utils import handlers
from passlib.utils.binary import b64s_decode

from authserve.core.crypto import is_equal

_SALT_AND_TAG = re.compile(r"[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}")
"""16 and 32 bytes in base64: RFC 9106 §4, and all that libsodium's own strings have."""


@contextmanager
def _memory_permitting() -> Iterator[None]:
    """Say what it means that libsodium computes nothing; it gives no other reason for that."""
    try:
        yield
    except SodiumError as error:
        raise MemoryError from error


class SodiumArgon2(libpass.argon2):  # type: ignore[misc]
    """libpass's handler of Argon2, which leaves what is of its present parameters to libsodium.

    All else goes the usual way: what other programs made, with more lanes (libsodium has one) or at
    a cost that nobody here has bounded.
    """

    @classmethod
    def hash(cls, secret: bytes) -> str:
        """Hash a password; see libpass."""
        if cls.parallelism != 1:
            return str(super().hash(secret))
        handlers.validate_secret(secret)
        with _memory_permitting():
            stored = crypto_pwhash_str_alg(secret, *cls._limits(), crypto_pwhash_ALG_ARGON2ID13)
        return stored.decode()

    @classmethod
    def verify(cls, secret: bytes, hash: str) -> bool:  # noqa: A002 (libpass's name)
        """Whether it is the password of a hash; see libpass.

        Raises:
            ValueError, TypeError: the hash is malformed.
            MemoryError: there is none for a hash of this cost.
        """
        if cls.parallelism != 1 or not cls.is_current(hash):
            return bool(super().verify(secret, hash))
        salt, tag = (b64s_decode(part) for part in hash.split("$")[-2:])
        handlers.validate_secret(secret)
        with _memory_permitting():
            computed = crypto_pwhash_alg(
                len(tag), secret, salt, *cls._limits(), crypto_pwhash_ALG_ARGON2ID13
            )
        return is_equal(computed, tag)

    @classmethod
    def is_current(cls, stored: str) -> bool:
        """Return True for a hash of the present parameters, as `hash` makes them."""
        prefix = cls._prefix()
        return stored.startswith(prefix) and bool(_SALT_AND_TAG.fullmatch(stored, len(prefix)))

    @classmethod
    def _prefix(cls) -> str:
        cost = f"m={cls.memory_cost},t={cls.default_rounds},p={cls.parallelism}"
        return f"$argon2id$v=19${cost}$"

    @classmethod
    def _limits(cls) -> tuple[int, int]:
        """Passes, and bytes of memory."""
        return cls.default_rounds, cls.memory_cost * 1024
