"""Statements that read the keys, and the encryption of the private keys."""

import logging
from datetime import datetime
from typing import cast

from cryptography.hazmat.primitives import serialization
from sqlalchemy import ColumnElement, or_, select

from authserve.core.clock import now
from authserve.core.crypto import KEYRING, UndecryptableError
from authserve.core.frozen import frozen
from authserve.database.statements import table_of
from authserve.database.transactions import read_all
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.families import ES256, KeyFamily, PrivateKey, PublicKey
from authserve.keys.policy import ROTATION_PERIOD, find_signing_key, is_ended_by_emergency

logger = logging.getLogger(__name__)


@frozen()
class LoadedKey:
    """A key as a worker holds it: public key ready to verify, private key still encrypted."""

    kid: str
    serial: int
    public_key: PublicKey
    private_sealed: bytes
    published_at: datetime
    active_from: datetime
    retire_at: datetime | None


def is_usable(family: KeyFamily = ES256) -> ColumnElement[bool]:
    """Return the SQL condition for `not is_over`."""
    retire_at = table_of(family.table).c.retire_at
    return or_(retire_at.is_(None), retire_at > now())


def read_keys(*, family: KeyFamily = ES256, with_retired: bool = False) -> list[LoadedKey]:
    """Return the keys of a family by ascending serial; retired keys only if `with_retired`."""
    table = table_of(family.table)
    statement = select(table).order_by(table.c.serial)
    if not with_retired:
        statement = statement.where(is_usable(family))
    return [
        LoadedKey(
            kid=row.kid,
            serial=row.serial,
            public_key=cast(PublicKey, serialization.load_pem_public_key(row.public_pem.encode())),
            private_sealed=row.private_sealed,
            published_at=row.published_at,
            active_from=row.active_from,
            retire_at=row.retire_at,
        )
        for row in read_all(statement)
    ]


def find_trusted_key(kid: str, *, family: KeyFamily = ES256) -> PublicKey | None:
    """Return the public key of this `kid`, of any age; None if unknown or ended by an emergency.

    For tokens whose expiry does not matter; `KeyStore.find_public_key` is for all others.
    """
    keys = read_keys(family=family, with_retired=True)
    found = next((key for key in keys if key.kid == kid), None)
    return None if found is None or is_ended_by_emergency(found, keys) else found.public_key


@frozen()
class KeyDates:
    """The times of the current key's first signature and of the next rotation.

    `rotation_due` is in the past when a rotation is overdue.
    """

    signing_since: datetime
    rotation_due: datetime


def find_key_dates() -> KeyDates | None:
    """Return the dates of the stored keys of access tokens, or None while no key signs."""
    table = table_of(ES256.table)
    columns = (table.c.serial, table.c.active_from, table.c.retire_at)
    keys = read_all(select(*columns).where(is_usable()).order_by(table.c.serial))
    signing = find_signing_key(keys, now())
    if signing is None:
        return None
    return KeyDates(signing.active_from, keys[-1].active_from + ROTATION_PERIOD)


def seal(kid: str, private_der: bytes, *, family: KeyFamily) -> bytes:
    """Encrypt a private key (PKCS #8, DER) under the current `SECRET_KEY`, bound to its `kid`."""
    return KEYRING.get().encrypt(family.seal_purpose, private_der, context=kid.encode())


def unseal(key: LoadedKey, *, family: KeyFamily) -> PrivateKey:
    """Return the decrypted private key, ready to sign.

    Raises:
        SigningKeyUnavailableError: see `unseal_bytes`.
    """
    private_der = unseal_bytes(key.kid, key.private_sealed, family=family)
    return cast(PrivateKey, serialization.load_der_private_key(private_der, password=None))


def unseal_bytes(kid: str, sealed: bytes, *, family: KeyFamily) -> bytes:
    """Decrypt a result of `seal` with the current `SECRET_KEY` or a fallback.

    Raises:
        SigningKeyUnavailableError: no secret decrypts it; the remedy has been logged.
    """
    try:
        return KEYRING.get().decrypt(family.seal_purpose, sealed, context=kid.encode())
    except UndecryptableError as error:
        logger.error(SigningKeyUnavailableError.remedy, extra={"kid": kid})
        raise SigningKeyUnavailableError from error
