"""Each process's copy of the signing keys."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from sqlalchemy.exc import SQLAlchemyError

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.policy import (
    CACHE_TTL,
    RotationCause,
    find_signing_key,
    is_key_needed,
    is_over,
    usable_keys,
)
from authserve.keys.rotation import ALGORITHM, rotate
from authserve.keys.statements import LoadedKey, read_keys, unseal

logger = logging.getLogger(__name__)

SigningKey = tuple[str, ec.EllipticCurvePrivateKey]
"""The `kid` and the private key."""


class KeyStore:
    """One process's copy of the keys. Safe for threads.

    During a database outage the last copy stays in use, so tokens can still be verified.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._keys: dict[str, LoadedKey] = {}
        self._private: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._loaded_at = float("-inf")
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Read the keys before the first request, so that a later outage finds them loaded."""
        try:
            self._follow()
        except SQLAlchemyError as error:
            logger.warning("signing keys not read", extra={"reason": type(error).__name__})

    def find_public_key(self, kid: str) -> ec.EllipticCurvePublicKey | None:
        """Return the key that verifies tokens with this `kid`; None if unknown or retired.

        An unknown `kid` may be newer than this copy, so the keys are read again.
        """
        self._follow()
        key = self._keys.get(kid)
        if key is None:
            self._reload(asked_at=self._monotonic())
            key = self._keys.get(kid)
        if key is None or is_over(key, now()):
            return None
        return key.public_key

    def signing_key(self) -> SigningKey:
        """Return the key to sign with now.

        Raises:
            SigningKeyUnavailableError: no configured secret decrypts the key, or no key is active
                by this machine's clock; the log names the cause.
        """
        self._follow()
        key = find_signing_key(self._keys.values(), now())
        if key is None:
            logger.error("no signing key is active yet: is this machine's clock right?")
            raise SigningKeyUnavailableError
        private = self._private.get(key.kid)
        if private is None:
            private = self._private[key.kid] = unseal(key)
        return key.kid, private

    def jwks(self) -> dict[str, Any]:
        """Return the public key set (RFC 7517): the keys that verify tokens now, and the next."""
        self._follow()
        keys = sorted(usable_keys(self._keys.values(), now()), key=lambda key: key.serial)
        return {"keys": [_public_jwk(key) for key in keys]}

    def _follow(self) -> None:
        """Read the keys again if this copy is old; one thread reads, others use the old copy."""
        if self._monotonic() - self._loaded_at < CACHE_TTL.total_seconds():
            return
        if not self._keys:
            self._reload(asked_at=self._monotonic())
        elif self._lock.acquire(blocking=False):
            try:
                self._load()
            except SQLAlchemyError:
                logger.warning("signing keys not refreshed", exc_info=True)
                self._loaded_at = self._monotonic()
            finally:
                self._lock.release()

    def _reload(self, *, asked_at: float) -> None:
        """Read the keys, unless another thread has begun a read since `asked_at`."""
        with self._lock:
            if self._loaded_at <= asked_at:
                self._load()

    def _load(self) -> None:
        began_at = self._monotonic()
        keys = self._take(read_keys())
        # Store the keys first: they are valid even if no new key can be made now.
        if is_key_needed(keys[-1] if keys else None, RotationCause.DUE, now()):
            rotate(RotationCause.DUE, request=RequestInfo())
            self._take(read_keys())
        self._loaded_at = began_at

    def _take(self, keys: list[LoadedKey]) -> list[LoadedKey]:
        self._keys = {key.kid: key for key in keys}
        self._private = {kid: self._private[kid] for kid in self._private if kid in self._keys}
        return keys


KEY_STORE = Slot[KeyStore]("key_store")


def _public_jwk(key: LoadedKey) -> dict[str, Any]:
    members: dict[str, Any] = ECAlgorithm.to_jwk(key.public_key, as_dict=True)
    return {**members, "kid": key.kid, "use": "sig", "alg": ALGORITHM}
