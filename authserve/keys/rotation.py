"""Rotation: making the next key, retiring the older ones, and listing keys for the operator."""

import logging
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all, transaction
from authserve.keys.families import ES256, FAMILIES, KeyFamily, PrivateKey
from authserve.keys.policy import (
    MAX_APP_TOKEN_TTL,
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
from authserve.settings.model import SETTINGS, Settings

KID_BYTES = 16
"""Bytes of the public key's SHA-256 in a `kid`: enough that no two keys share one."""

logger = logging.getLogger(__name__)


@frozen()
class ListedKey:
    """A key as shown to the operator; the private part is left out."""

    kid: str
    algorithm: str
    state: KeyState
    published_at: datetime
    active_from: datetime
    retire_at: datetime | None


@frozen()
class NewestKey:
    """The newest key after a call of `rotate`.

    Args:
        kid: its id.
        active_from: start of signing.
        is_new: True if this call made the key.
        algorithm: of its family.
    """

    kid: str
    active_from: datetime
    is_new: bool
    algorithm: str


def list_keys() -> list[ListedKey]:
    """Return every stored key of each family, newest first."""
    return [key for family in FAMILIES for key in _list_family(family)]


def _list_family(family: KeyFamily) -> list[ListedKey]:
    moment, keys = now(), read_keys(family=family, with_retired=True)
    signing = find_signing_key(keys, moment)
    return [
        ListedKey(
            key.kid,
            family.algorithm,
            key_state(key, signing, moment),
            key.published_at,
            key.active_from,
            key.retire_at,
        )
        for key in reversed(keys)
    ]


def rotate_all(cause: RotationCause, *, request: RequestInfo) -> list[NewestKey]:
    """Rotate the keys of each family that has one; see `rotate`."""
    families = [family for family in FAMILIES if family.is_always_needed or _has_keys(family)]
    return [rotate(cause, family=family, request=request) for family in families]


def _has_keys(family: KeyFamily) -> bool:
    return bool(read_all(select(family.table.kid).limit(1)))


def rotate(cause: RotationCause, *, family: KeyFamily = ES256, request: RequestInfo) -> NewestKey:
    """Make a new signing key if `cause` needs one, and set the retirement of the older keys.

    Of simultaneous callers one makes the key, and the others get it. An emergency retries if
    another caller's key does not sign yet.

    Args:
        cause: with EMERGENCY the new key signs at once, and older keys verify no more: every
            token of theirs becomes invalid, and clients use their refresh tokens. Otherwise the new
            key is only published at first, and the old one verifies until its last token has
            expired.
        family: of the key.
        request: recorded with the audit event.
    """
    while True:
        newest = _find_newest(family)
        if not is_key_needed(newest, cause, now()):
            assert newest is not None
            return NewestKey(newest.kid, newest.active_from, False, family.algorithm)
        # Made outside of the transaction, which would hold its locks meanwhile.
        private_key = family.generate()
        with transaction() as session:
            made = _insert_key(session, private_key, newest, cause, family, request)
        if made is not None:
            details = {"kid": made.kid, "cause": cause, "algorithm": family.algorithm}
            logger.warning("signing key made", extra=details)
            return made
        # Another caller was faster.
        newest = _find_newest(family)
        assert newest is not None
        if cause is not RotationCause.EMERGENCY or newest.active_from <= now():
            return NewestKey(newest.kid, newest.active_from, False, family.algorithm)


def rewrap() -> int:
    """Encrypt the private keys anew under the current `SECRET_KEY`, so a fallback can be removed.

    Retired keys are skipped: they are never decrypted again, and one whose secret is lost must
    not make this fail for ever.

    Returns:
        The number of keys encrypted anew.

    Raises:
        SigningKeyUnavailableError: no secret decrypts one of the keys; nothing is changed.
    """
    with transaction():
        return sum(map(_rewrap, FAMILIES))


def _rewrap(family: KeyFamily) -> int:
    table = table_of(family.table)
    statement = select(table.c.kid, table.c.private_sealed).where(is_usable(family))
    rows = read_all(statement.with_for_update())
    for row in rows:
        private_der = unseal_bytes(row.kid, row.private_sealed, family=family)
        sealed = seal(row.kid, private_der, family=family)
        execute(update(table).where(table.c.kid == row.kid).values(private_sealed=sealed))
    return len(rows)


def _find_newest(family: KeyFamily) -> Row[Any] | None:
    table = table_of(family.table)
    rows = read_all(select(table).order_by(table.c.serial.desc()).limit(1))
    return rows[0] if rows else None


def _insert_key(
    session: Session,
    private_key: PrivateKey,
    newest: Row[Any] | None,
    cause: RotationCause,
    family: KeyFamily,
    request: RequestInfo,
) -> NewestKey | None:
    """Insert the key after `newest` and return it, or None if another caller was faster."""
    moment, is_emergency = now(), cause is RotationCause.EMERGENCY
    serial = newest.serial + 1 if newest is not None else 1
    is_urgent = is_emergency or newest is None or is_over(newest, moment)
    active_from = first_signature(moment, is_urgent=is_urgent)
    row = {
        **_key_columns(private_key, family),
        "serial": serial,
        "published_at": moment,
        "active_from": active_from,
    }
    if not session.execute(insert_if_absent(family.table), row).rowcount:  # type: ignore[attr-defined]
        return None
    if newest is not None:
        _set_retirement(session, serial, active_from, family, is_emergency=is_emergency)
    kid: str = row["kid"]
    emit(
        AuditAction.KEY_ROTATED,
        actor=VISITOR,
        request=request,
        details={"kid": kid, "cause": cause},
    )
    return NewestKey(kid, active_from, True, family.algorithm)


def _key_columns(private_key: PrivateKey, family: KeyFamily) -> dict[str, Any]:
    public_pem = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    kid = encode_base64url(digest(public_pem)[:KID_BYTES])
    private_der = private_key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "kid": kid,
        "algorithm": family.algorithm,
        "public_pem": public_pem.decode(),
        "private_sealed": seal(kid, private_der, family=family),
    }


def _set_retirement(
    session: Session,
    serial: int,
    active_from: datetime,
    family: KeyFamily,
    *,
    is_emergency: bool,
) -> None:
    older = update(family.table).where(family.table.serial < serial)
    if is_emergency:
        # The same time as the new key's start, in the past: effective at once on slow clocks too.
        session.execute(older.where(is_usable(family)).values(retire_at=active_from))
        return
    end = retirement(active_from, _longest_ttl(SETTINGS.get()))
    session.execute(older.where(family.table.retire_at.is_(None)).values(retire_at=end))


def _longest_ttl(settings: Settings) -> timedelta:
    """Return the lifetime of the longest token that a key may have signed."""
    of_apps = MAX_APP_TOKEN_TTL if "oidc" in settings.features else timedelta(0)
    return max(settings.access_token_ttl, of_apps)
