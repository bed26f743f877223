"""Making the next key, ending those before it, and what an operator may see of them."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.utils import base64url_encode
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.emit import emit
from authserve.database.transactions import insert_if_absent, transaction
from authserve.keys.events import KeyRotated
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
from authserve.settings.model import get_settings

ALGORITHM = "ES256"
"""ECDSA on P-256 with SHA-256 (RFC 7518 §3.4): 128-bit security (ASVS 11.2.3), short tokens."""

KID_BYTES = 16
"""Of the public key's SHA-256: no two keys ever share them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as an operator sees it."""

    kid: str
    state: KeyState
    published_at: datetime
    active_from: datetime
    retire_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewestKey:
    """What came of a rotation.

    Args:
        active_from: from when on it signs.
        is_new: whether this call made it.
    """

    kid: str
    active_from: datetime
    is_new: bool


def list_keys() -> list[ListedKey]:
    """Every key that is kept, newest first."""
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
    """Make a new signing key if `cause` needs one, and set the end of those before it.

    Of simultaneous callers one makes the key, and the others are given it. Only an emergency is
    not content with a key that others made and that does not sign yet.

    Args:
        cause: an EMERGENCY has the new key sign at once and the older ones believed no more:
            every access token ends, and clients go on with their refresh tokens. Otherwise the
            new key is only shown at first, and the old one stays until its last token has
            expired.
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
    """Seal the private keys anew under the current `SECRET_KEY`, so a fallback can be dropped.

    Those that are retired are left: nothing opens them again, and one whose secret was lost must
    not stand in the way for ever.

    Returns:
        How many keys were sealed.

    Raises:
        SigningKeyUnavailableError: one of them opens under no secret; nothing is changed.
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
    """Insert the key after `newest`; None if somebody else was faster to."""
    is_emergency = cause is RotationCause.EMERGENCY
    serial = newest.serial + 1 if newest is not None else 1
    is_urgent = is_emergency or newest is None or is_over(newest, now())
    active_from = first_signature(now(), is_urgent=is_urgent)
    made = _new_key(serial=serial, active_from=active_from)
    if not session.execute(insert_if_absent(SigningKey), made).rowcount:  # type: ignore[attr-defined]
        return None
    _set_retirement(session, serial, active_from, is_emergency=is_emergency)
    kid: str = made["kid"]
    emit(KeyRotated(request=request, details={"kid": kid, "cause": cause}))
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
        # As the new key's beginning: at once, also on a machine whose clock is behind.
        session.execute(older.where(is_usable()).values(retire_at=active_from))
        return
    end = retirement(active_from, get_settings().access_token_ttl)
    session.execute(older.where(SigningKey.retire_at.is_(None)).values(retire_at=end))
