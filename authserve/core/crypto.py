"""Randomness, digests and purpose keys: the only module that touches key material directly."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authserve.core.container import ListSlot, Slot

_NONCE_BYTES = 12
"""AES-GCM's nonce (NIST SP 800-38D §5.2.1.1); random is safe as a key encrypts few messages."""


def random_bytes(count: int = 16) -> bytes:
    """Return `count` unguessable bytes; 16 are the 128 bits that ASVS 11.5.1 requires."""
    return secrets.token_bytes(count)


def digest(secret: bytes) -> bytes:
    """Return the SHA-256 digest of a high-entropy secret; for passwords use `passwords.hasher`."""
    return hashlib.sha256(secret).digest()


def is_equal(left: bytes, right: bytes) -> bool:
    """Return True if both are equal, compared in constant time (ASVS 11.2.4)."""
    return hmac.compare_digest(left, right)


def is_digest(stored: bytes, secret: bytes) -> bool:
    """Return True if `stored` is the digest of `secret`, compared in constant time."""
    return is_equal(stored, digest(secret))


class UndecryptableError(Exception):
    """A ciphertext that no key of the ring decrypts.

    Usually `SECRET_KEY` was changed without a fallback.
    """


class Keyring:
    """Keys derived from `SECRET_KEY` and its fallbacks, one set per purpose (HKDF, RFC 5869).

    Purposes share no key, so a MAC or ciphertext of one purpose is never valid for another.

    Args:
        secrets_newest_first: the current secret, then the fallbacks that are still accepted.
    """

    def __init__(self, secrets_newest_first: Sequence[str]) -> None:
        self._secrets = tuple(secret.encode() for secret in secrets_newest_first)
        self._derived: dict[str, tuple[bytes, ...]] = {}

    def keys(self, purpose: str) -> tuple[bytes, ...]:
        """Return the 32-byte keys of `purpose`, the current one first."""
        found = self._derived.get(purpose)
        if found is None:
            found = tuple(_derive(secret, purpose) for secret in self._secrets)
            self._derived[purpose] = found
        return found

    def mac(self, purpose: str, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `message` under the current key of `purpose`."""
        return hmac.digest(self.keys(purpose)[0], message, "sha256")

    def macs(self, purpose: str, messages: Iterable[bytes]) -> list[bytes]:
        """Return the HMAC-SHA-256 of each message under the current key of `purpose`."""
        key = self.keys(purpose)[0]
        return [hmac.digest(key, message, "sha256") for message in messages]

    def is_mac(self, purpose: str, message: bytes, mac: bytes) -> bool:
        """Return True if `mac` verifies for `message` with the current secret or a fallback."""
        return any(is_equal(candidate, mac) for candidate in self.accepted_macs(purpose, message))

    def accepted_macs(self, purpose: str, message: bytes) -> list[bytes]:
        """Return the MACs that verify for `message`: of the current secret, then the fallbacks."""
        return [hmac.digest(key, message, "sha256") for key in self.keys(purpose)]

    def encrypt(self, purpose: str, plaintext: bytes, *, context: bytes) -> bytes:
        """Encrypt with AES-256-GCM under the current key.

        Args:
            purpose: selects the key.
            plaintext: the secret data.
            context: authenticated but not stored; decryption needs the same context.

        Returns:
            The nonce, then the ciphertext with its tag.
        """
        nonce = random_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.keys(purpose)[0]).encrypt(nonce, plaintext, context)

    def decrypt(self, purpose: str, ciphertext: bytes, *, context: bytes) -> bytes:
        """Decrypt a result of `encrypt` with the current secret or a fallback.

        Raises:
            UndecryptableError: the data was changed or cut, the context or the purpose differs,
                or the secret is no longer in the ring.
        """
        if len(ciphertext) < _NONCE_BYTES:
            raise UndecryptableError
        nonce, sealed = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
        for key in self.keys(purpose):
            try:
                return AESGCM(key).decrypt(nonce, sealed, context)
            except InvalidTag:
                continue
        raise UndecryptableError


def _derive(secret: bytes, purpose: str) -> bytes:
    info = f"authserve:{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


KEYRING = Slot[Keyring]("keyring")

FURTHER_SECRETS = ListSlot[tuple[str, Callable[[], tuple[int, int]]]]("further_secrets")
"""The nouns of optional features' secrets, each with a function that encrypts them again.

The functions return the numbers of secrets that it encrypted, and of those that no key decrypts.
"""
