"""Signing keys: each worker's view of them, and how a new one is made.

A worker keeps the keys in memory and reads them again every `CACHE_TTL`, so that a rotation by
another worker, machine or command is followed within seconds, without a restart.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode
from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from authserve.core.clock import now
from authserve.core.crypto import UndecryptableError, get_keyring
from authserve.core.db import insert_if_absent, read_all, transaction
from authserve.core.events import emit
from authserve.core.registry import component
from authserve.core.settings import get_settings
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.events import KeyRotated
from authserve.keys.models import SigningKey
from authserve.keys.policy import (
    CACHE_TTL,
    KeyState,
    find_signing_key,
    is_rotation_due,
    key_state,
    publication_lead,
    retirement,
    usable_keys,
)

ALGORITHM = "ES256"
"""ECDSA on P-256 with SHA-256 (RFC 7518 §3.4): 128-bit security (ASVS 11.2.3), short tokens."""

SEAL_PURPOSE = "signing-key"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """A key as a worker holds it: public part ready to verify, private part still sealed."""

    kid: str
    serial: int
    public_key: ec.EllipticCurvePublicKey
    private_sealed: bytes
    published_at: datetime
    active_from: datetime
    retire_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as an operator sees it."""

    kid: str
    state: KeyState
    published_at: datetime
    active_from: datetime
    retire_at: datetime | None


class KeyStore:
    """One process's copy of the keys. Safe for threads.

    While the database is away the last copy goes on serving, so tokens can still be verified.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._keys: dict[str, LoadedKey] = {}
        self._private: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._loaded_at = float("-inf")
        self._lock = threading.Lock()

    def find_public_key(self, kid: str) -> ec.EllipticCurvePublicKey | None:
        """The key that verifies tokens with this `kid`, or None if none may (any more).

        An unknown `kid` may have been published a moment ago, so it is looked up afresh.
        """
        self._follow()
        key = self._keys.get(kid)
        if key is None:
            self._reload(asked_at=self._monotonic())
            key = self._keys.get(kid)
        if key is None or (key.retire_at is not None and now() >= key.retire_at):
            return None
        return key.public_key

    def signing_key(self) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """The `kid` and private key to sign with now.

        Raises:
            SigningKeyUnavailableError: the secret that sealed it is gone.
        """
        self._follow()
        key = find_signing_key(self._keys.values(), now())
        if key is None:
            raise SigningKeyUnavailableError
        private = self._private.get(key.kid)
        if private is None:
            private = self._private[key.kid] = _unseal(key)
        return key.kid, private

    def jwks(self) -> dict[str, Any]:
        """The public key set (RFC 7517): all that may verify a live token, and the next one."""
        self._follow()
        keys = sorted(usable_keys(self._keys.values(), now()), key=lambda key: key.serial)
        return {"keys": [_public_jwk(key) for key in keys]}

    def _follow(self) -> None:
        """Read the keys again if this copy is old; one thread does, the others go on meanwhile."""
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
        """Read the keys now, unless another thread has begun to since `asked_at`."""
        with self._lock:
            if self._loaded_at <= asked_at:
                self._load()

    def _load(self) -> None:
        began_at = self._monotonic()
        keys = _read_keys()
        if not keys or is_rotation_due(keys, now()):
            rotate()
            keys = _read_keys()
        self._keys = {key.kid: key for key in keys}
        self._private = {kid: self._private[kid] for kid in self._private if kid in self._keys}
        self._loaded_at = began_at


KEY_STORE_EXTENSION = "authserve.key_store"


def get_key_store() -> KeyStore:
    """The key store of the running application."""
    return cast(KeyStore, component(KEY_STORE_EXTENSION))


def list_keys() -> list[ListedKey]:
    """Every key that is kept, newest first."""
    moment, keys = now(), _read_keys(with_retired=True)
    signing = find_signing_key(keys, moment)
    return [
        ListedKey(
            key.kid,
            key_state(key, signing, moment),
            key.published_at,
            key.active_from,
            key.retire_at,
        )
        for key in reversed(keys)
    ]


def rotate(*, emergency: bool = False) -> str:
    """Make a new signing key, and set the end of those before it.

    Of simultaneous callers one makes the key, and the others return it.

    Args:
        emergency: the new key signs at once and the older ones are believed no more: every
            access token ends, and clients go on with their refresh tokens. Otherwise the new
            key is only shown at first, and the old one stays until its last token has expired.

    Returns:
        The `kid` of the newest key.
    """
    with transaction() as session:
        last_serial = session.scalar(select(func.max(SigningKey.serial))) or 0
        lead = timedelta(0) if emergency or not last_serial else publication_lead()
        made = _new_key(serial=last_serial + 1, active_from=now() + lead)
        if session.execute(insert_if_absent(SigningKey), made).rowcount:  # type: ignore[attr-defined]
            _set_retirement(session, made, emergency=emergency)
            emit(KeyRotated(details={"kid": made["kid"], "emergency": emergency}))
        newest = session.scalar(select(SigningKey.kid).order_by(SigningKey.serial.desc()).limit(1))
    assert newest is not None
    logger.warning("signing key rotated", extra={"kid": newest, "emergency": emergency})
    return newest


def rewrap() -> int:
    """Seal every private key anew under the current `SECRET_KEY`, so a fallback can be dropped.

    Returns:
        How many keys there are.

    Raises:
        SigningKeyUnavailableError: one of them opens under no secret; nothing is changed.
    """
    with transaction() as session:
        rows = session.scalars(select(SigningKey).with_for_update()).all()
        for row in rows:
            row.private_sealed = _seal(row.kid, _unseal_bytes(row.kid, row.private_sealed))
    return len(rows)


def _new_key(*, serial: int, active_from: datetime) -> dict[str, Any]:
    private_key = ec.generate_private_key(ec.SECP256R1())
    public_pem = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    fingerprint = hashes.Hash(hashes.SHA256())
    fingerprint.update(public_pem)
    kid = base64url_encode(fingerprint.finalize()[:16]).decode()
    private_der = private_key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "kid": kid,
        "serial": serial,
        "algorithm": ALGORITHM,
        "public_pem": public_pem.decode(),
        "private_sealed": _seal(kid, private_der),
        "published_at": now(),
        "active_from": active_from,
    }


def _set_retirement(session: Session, made: dict[str, Any], *, emergency: bool) -> None:
    older = update(SigningKey).where(SigningKey.serial < made["serial"])
    if emergency:
        moment = now()
        ends_later = or_(SigningKey.retire_at.is_(None), SigningKey.retire_at > moment)
        session.execute(older.where(ends_later).values(retire_at=moment))
        return
    end = retirement(made["active_from"], get_settings().access_token_ttl)
    session.execute(older.where(SigningKey.retire_at.is_(None)).values(retire_at=end))


def _read_keys(*, with_retired: bool = False) -> list[LoadedKey]:
    statement = select(SigningKey.__table__).order_by(SigningKey.serial)
    if not with_retired:
        statement = statement.where(
            or_(SigningKey.retire_at.is_(None), SigningKey.retire_at > now())
        )
    return [
        LoadedKey(
            kid=row.kid,
            serial=row.serial,
            public_key=cast(
                ec.EllipticCurvePublicKey,
                serialization.load_pem_public_key(row.public_pem.encode()),
            ),
            private_sealed=row.private_sealed,
            published_at=row.published_at,
            active_from=row.active_from,
            retire_at=row.retire_at,
        )
        for row in read_all(statement)
    ]


def _seal(kid: str, private_der: bytes) -> bytes:
    return get_keyring().encrypt(SEAL_PURPOSE, private_der, context=kid.encode())


def _unseal(key: LoadedKey) -> ec.EllipticCurvePrivateKey:
    private_der = _unseal_bytes(key.kid, key.private_sealed)
    return cast(
        ec.EllipticCurvePrivateKey, serialization.load_der_private_key(private_der, password=None)
    )


def _unseal_bytes(kid: str, sealed: bytes) -> bytes:
    try:
        return get_keyring().decrypt(SEAL_PURPOSE, sealed, context=kid.encode())
    except UndecryptableError as error:
        logger.error(
            "a signing key does not open: put the former SECRET_KEY into SECRET_KEY_FALLBACKS, "
            "or run: flask keys rotate --emergency",
            extra={"kid": kid},
        )
        raise SigningKeyUnavailableError from error


def _public_jwk(key: LoadedKey) -> dict[str, Any]:
    members: dict[str, Any] = ECAlgorithm.to_jwk(key.public_key, as_dict=True)
    return {**members, "kid": key.kid, "use": "sig", "alg": ALGORITHM}
