"""Each process's copy of the signing keys."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from sqlalchemy.exc import SQLAlchemyError

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.families import ES256, KeyFamily, PrivateKey, PublicKey
from authserve.keys.policy import (
    CACHE_TTL,
    RotationCause,
    find_signing_key,
    is_key_needed,
    is_over,
    usable_keys,
)
from authserve.keys.rotation import rotate
from authserve.keys.statements import LoadedKey, read_keys, unseal

logger = logging.getLogger(__name__)


class SigningKey(NamedTuple):
    """A key to sign with, by its one algorithm."""

    kid: str
    private_key: PrivateKey
    algorithm: str


_NEVER = float("-inf")


class KeyStore:
    """One process's copy of the keys of a family. Safe for threads.

    During a database outage the last copy stays in use, so tokens can still be verified.
    """

    def __init__(
        self, family: KeyFamily = ES256, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._family = family
        self._monotonic = monotonic
        self._keys: dict[str, LoadedKey] = {}
        self._private: dict[str, PrivateKey] = {}
        self._loaded_at = _NEVER
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Read the keys before the first request, so that a later outage finds them loaded."""
        try:
            self._reload_if_old()
        except SQLAlchemyError as error:
            logger.warning("signing keys not read", extra={"reason": type(error).__name__})

    def find_public_key(self, kid: str, *, now: datetime) -> PublicKey | None:
        """Return the key that verifies tokens with this `kid`; None if unknown or retired.

        An unknown `kid` may be newer than this copy, so the keys are read again.
        """
        self._reload_if_old()
        key = self._keys.get(kid)
        if key is None:
            self._reload(asked_at=self._monotonic())
            key = self._keys.get(kid)
        if key is None or is_over(key, now):
            return None
        return key.public_key

    def signing_key(self) -> SigningKey:
        """Return the key to sign with now; make the first key of a family that has none.

        Raises:
            SigningKeyUnavailableError: no configured secret decrypts the key, or no key is active
                by this machine's clock; the log names the cause.
        """
        self._reload_if_old()
        if not self._keys:
            rotate(RotationCause.DUE, family=self._family, request=RequestInfo())
            self._reload(asked_at=self._monotonic())
        key = find_signing_key(self._keys.values(), now())
        if key is None:
            logger.error("no signing key is active yet: is this machine's clock right?")
            raise SigningKeyUnavailableError
        private = self._private.get(key.kid)
        if private is None:
            private = self._private[key.kid] = unseal(key, family=self._family)
        return SigningKey(key.kid, private, self._family.algorithm)

    def jwks(self) -> list[dict[str, Any]]:
        """Return public keys for a set (RFC 7517): those that verify tokens now, and the next."""
        self._reload_if_old()
        keys = sorted(usable_keys(self._keys.values(), now()), key=lambda key: key.serial)
        return [self._public_jwk(key) for key in keys]

    def _public_jwk(self, key: LoadedKey) -> dict[str, Any]:
        public = key.public_key
        members: dict[str, Any] = (
            ECAlgorithm.to_jwk(public, as_dict=True)
            if isinstance(public, ec.EllipticCurvePublicKey)
            else RSAAlgorithm.to_jwk(public, as_dict=True)
        )
        # RSA keys get `key_ops` from PyJWT, which RFC 7517 §4.3 advises against beside `use`.
        members.pop("key_ops", None)
        return {**members, "kid": key.kid, "use": "sig", "alg": self._family.algorithm}

    def _reload_if_old(self) -> None:
        """Read the keys again if this copy is old; one thread reads, others use the old copy."""
        if self._monotonic() - self._loaded_at < CACHE_TTL.total_seconds():
            return
        if self._loaded_at == _NEVER:
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
        keys = read_keys(family=self._family)
        self._replace(keys)
        # Store the keys first: they are valid even if no new key can be made now.
        if self._is_next_due(keys):
            rotate(RotationCause.DUE, family=self._family, request=RequestInfo())
            self._replace(read_keys(family=self._family))
        self._loaded_at = began_at

    def _is_next_due(self, keys: list[LoadedKey]) -> bool:
        if not keys:
            return self._family.is_always_needed
        return is_key_needed(keys[-1], RotationCause.DUE, now())

    def _replace(self, keys: list[LoadedKey]) -> None:
        self._keys = {key.kid: key for key in keys}
        # A copy, since a thread that signs may add a key meanwhile.
        private = self._private.copy()
        self._private = {kid: key for kid, key in private.items() if kid in self._keys}


KEY_STORE = Slot[KeyStore]("key_store")

APP_KEY_STORE = Slot[KeyStore]("app_key_store")
"""The keys of RS256; filled by the feature that signs tokens of apps."""


def find_stores() -> list[KeyStore]:
    """Return the stores of the families that this application uses."""
    of_apps = APP_KEY_STORE.find()
    return [KEY_STORE.get(), *([of_apps] if of_apps is not None else [])]
