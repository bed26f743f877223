"""Rotation: making the next key, retiring the older ones, and listing keys for the operator."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.utils import base64url_encode
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import insert_if_absent, transaction
from authserve.keys.models import SigningKey
from authserve.keys.policy import (
    KeyState,
    RotationCause,
    find_signing_key,
    first_signature,
    is_key_needed,
    is_over,
    key_state,
    retirement,
)
from authserve.keys.statements import is_usable, read_keys, seal, unseal_bytes
from authserve.settings.model import SETTINGS

ALGORITHM = "ES256"
"""ECDSA on P-256 with SHA-256 (RFC 7518 §3.4): 128-bit security (ASVS 11.2.3), short tokens."""

KID_BYTES = 16
"""Bytes of the public key's SHA-256 in a `kid`: enough that no two keys share one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as shown to the operator; the private part is left out."""

    kid: str
    state: KeyState
    published_at: datetime
    active_from: datetime
    retire_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewestKey:
    """The newest key after a call of `rotate`.

    Args:
        kid: its id.
        active_from: start of signing.
        is_new: True if this call made the key.
    """

    kid: str
    active_from: datetime
    is_new: bool


def list_keys() -> list[ListedKey]:
    """Return every stored key, newest first."""
    moment, keys = now(), read_keys(with_retired=True)
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


def rotate(cause: RotationCause, *, request: RequestInfo) -> NewestKey:
    """Make a new signing key if `cause` needs one, and set the retirement of the older keys.

    Of simultaneous callers one makes the key, and the others get it. An emergency retries if
    another caller's key does not sign yet.

    Args:
        cause: with EMERGENCY the new key signs at once, and older keys verify no more: every
            access token becomes invalid, and clients use their refresh tokens. Otherwise the new
            key is only published at first, and the old one verifies until its last token has
            expired.
        request: recorded with the audit event.
    """
    while True:
        with transaction() as session:
            newest = _find_newest(session)
            if not is_key_needed(newest, cause, now()):
                assert newest is not None
                return NewestKey(newest.kid, newest.active_from, is_new=False)
            made = _make_key(session, newest, cause, request)
            newest = _find_newest(session)
        assert newest is not None
        is_new = newest.kid == made
        if is_new:
            logger.warning("signing key made", extra={"kid": made, "cause": cause})
        if is_new or cause is not RotationCause.EMERGENCY or newest.active_from <= now():
            return NewestKey(newest.kid, newest.active_from, is_new=is_new)


def rewrap() -> int:
    """Encrypt the private keys anew under the current `SECRET_KEY`, so a fallback can be removed.

    Retired keys are skipped: they are never decrypted again, and one whose secret is lost must
    not make this fail for ever.

    Returns:
        The number of keys encrypted anew.

    Raises:
        SigningKeyUnavailableError: no secret decrypts one of the keys; nothing is changed.
    """
    with transaction() as session:
        rows = session.scalars(select(SigningKey).where(is_usable()).with_for_update()).all()
        for row in rows:
            row.private_sealed = seal(row.kid, unseal_bytes(row.kid, row.private_sealed))
    return len(rows)


def _find_newest(session: Session) -> SigningKey | None:
    return session.scalar(select(SigningKey).order_by(SigningKey.serial.desc()).limit(1))


def _make_key(
    session: Session, newest: SigningKey | None, cause: RotationCause, request: RequestInfo
) -> str | None:
    """Insert the key after `newest`; return its `kid`, or None if another caller was faster."""
    is_emergency = cause is RotationCause.EMERGENCY
    serial = newest.serial + 1 if newest is not None else 1
    is_urgent = is_emergency or newest is None or is_over(newest, now())
    active_from = first_signature(now(), is_urgent=is_urgent)
    made = _new_key(serial=serial, active_from=active_from)
    if not session.execute(insert_if_absent(SigningKey), made).rowcount:  # type: ignore[attr-defined]
        return None
    _set_retirement(session, serial, active_from, is_emergency=is_emergency)
    kid: str = made["kid"]
    emit(
        AuditAction.KEY_ROTATED,
        actor=VISITOR,
        request=request,
        details={"kid": kid, "cause": cause},
    )
    return kid


def _new_key(*, serial: int, active_from: datetime) -> dict[str, Any]:
    private_key = ec.generate_private_key(ec.SECP256R1())
    public_pem = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    kid = base64url_encode(digest(public_pem)[:KID_BYTES]).decode()
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
        "private_sealed": seal(kid, private_der),
        "published_at": now(),
        "active_from": active_from,
    }


def _set_retirement(
    session: Session, serial: int, active_from: datetime, *, is_emergency: bool
) -> None:
    older = update(SigningKey).where(SigningKey.serial < serial)
    if is_emergency:
        # The same time as the new key's start, in the past: effective at once on slow clocks too.
        session.execute(older.where(is_usable()).values(retire_at=active_from))
        return
    end = retirement(active_from, SETTINGS.get().access_token_ttl)
    session.execute(older.where(SigningKey.retire_at.is_(None)).values(retire_at=end))
