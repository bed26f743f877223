"""TOTP (RFC 6238): secrets, their QR codes, the comparison of a code, and spending its step.

A code is checked before the transaction of the sign-in, and spent inside it:

    found = find_totp(user.id, now=moment)
    checked = check_code(found, code)           # a `CheckedCode`, or a `ProofFailure`
    with transaction():
        if not spend_step(checked, now=moment):  # another caller has spent the step meanwhile
            ...
"""

import io
import logging
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update

from authserve.core.crypto import KEYRING, UndecryptableError, random_bytes
from authserve.core.frozen import frozen
from authserve.database.server_clock import server_now
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import execute, read_all, transaction
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.errors import FactorUnavailableError
from authserve.mfa.models import TotpFactor

logger = logging.getLogger(__name__)

SECRET_BYTES = 20
"""Length of a secret: 160 bits, that of HMAC-SHA-1's output (RFC 4226 §4 R6 recommends it)."""

STEP = timedelta(seconds=30)
"""Length of a time step (RFC 6238 §5.2 recommends it, and apps know no other)."""

CODE_DIGITS = 6
"""Digits of a code (RFC 4226 §5.3 asks for six at least, and many apps show no more)."""

SEAL_PURPOSE = "totp-secret"

TABLE = table_of(TotpFactor)
_MOMENT = bindparam("moment", type_=UTCDateTime)


@frozen(kw_only=True)
class StoredTotp:
    """A row of `totp_factors`, and the time that its codes are compared with.

    Args:
        id: the row's id.
        secret: the sealed secret.
        last_step: the step of the last code that was accepted; 0 before the first one.
        now: the time of `database.server_clock`.
    """

    id: UUID
    secret: bytes = field(repr=False)
    last_step: int
    now: datetime


@frozen()
class CheckedCode:
    """A right code that is not spent yet.

    Args:
        factor_id: the row of its secret.
        step: the time step that it belongs to.
    """

    factor_id: UUID
    step: int


def new_secret() -> bytes:
    """Return a new random secret (ASVS 6.5.3)."""
    return random_bytes(SECRET_BYTES)


def seal(factor_id: UUID, secret: bytes) -> bytes:
    """Encrypt a secret under the current `SECRET_KEY`, bound to its row (ASVS 11.3.2)."""
    return KEYRING.get().encrypt(SEAL_PURPOSE, secret, context=factor_id.bytes)


def unseal(factor_id: UUID, sealed: bytes) -> bytes:
    """Decrypt a result of `seal` with the current `SECRET_KEY` or a fallback.

    Raises:
        FactorUnavailableError: no secret decrypts it; the remedy has been logged.
    """
    try:
        return KEYRING.get().decrypt(SEAL_PURPOSE, sealed, context=factor_id.bytes)
    except UndecryptableError as error:
        logger.error(FactorUnavailableError.remedy, extra={"factor_id": str(factor_id)})
        raise FactorUnavailableError from error


def write_secret(secret: bytes) -> str:
    """Return a secret in base 32, as apps take it; 160 bits need no padding (RFC 4648 §6)."""
    return b32encode(secret).decode()


def make_uri(secret: bytes, *, account: str, issuer: str) -> str:
    """Return the `otpauth:` URI of a secret, which apps read from a QR code.

    Args:
        secret: as `new_secret` made it.
        account: the account's address, shown by apps.
        issuer: the service's name, shown by apps; without a colon.
    """
    uri: str = _totp(secret).to_uri(account, issuer)
    return uri


def draw_qr_code(uri: str) -> str:
    """Return a QR code as an SVG document of about 3 kB, black on white for dark pages too."""
    # segno takes 25 ms and 1.4 MB to import (measured), and most workers never draw.
    import segno

    drawing = io.BytesIO()
    code = segno.make_qr(uri, error="m", boost_error=False)
    code.save(drawing, kind="svg", light="#fff", omitsize=True, xmldecl=False, nl=False)
    return drawing.getvalue().decode()


_FIND = select(
    TABLE.c.id, TABLE.c.secret, TABLE.c.last_step, server_now(_MOMENT).label("now")
).where(TABLE.c.user_id == bindparam("owner_id"), TABLE.c.confirmed_at.is_not(None))


def find_totp(user_id: UUID, *, now: datetime) -> StoredTotp | None:
    """Return the confirmed TOTP secret of an account, by one SELECT, or None if it has none.

    Args:
        user_id: the account.
        now: the caller's current time.
    """
    rows = read_all(_FIND, {"owner_id": user_id, "moment": now})
    return StoredTotp(**rows[0]._mapping) if rows else None


def check_code(found: StoredTotp, code: str) -> CheckedCode | ProofFailure:
    """Compare a code with those of the present step and of the one before and after it.

    One step to either side allows for a clock that differs and for the time of typing
    (RFC 6238 §5.2; ASVS 6.5.5 asks for none).

    Args:
        found: the secret.
        code: as given, `CODE_DIGITS` digits.

    Returns:
        The checked code; or `WRONG_CODE`, or `CODE_REUSED` if it is right, but its step or a later
        one is spent (ASVS 6.5.1).

    Raises:
        FactorUnavailableError: the secret cannot be decrypted.
    """
    step = match_step(unseal(found.id, found.secret), code, now=found.now)
    if step is None:
        return ProofFailure.WRONG_CODE
    return ProofFailure.CODE_REUSED if step <= found.last_step else CheckedCode(found.id, step)


def match_step(secret: bytes, code: str, *, now: datetime) -> int | None:
    """Return the time step that a code belongs to, at most one from now; None if it is wrong."""
    from passlib.exc import TokenError

    try:
        step: int = _totp(secret).match(code, time=now, window=int(STEP.total_seconds())).counter
    except TokenError:
        return None
    return step


def _totp(secret: bytes) -> Any:
    # passlib's module for TOTP is imported at the first use: most workers compare no code.
    from passlib.totp import TOTP

    period = int(STEP.total_seconds())
    return TOTP(key=secret, format="raw", digits=CODE_DIGITS, alg="sha1", period=period)


_SPEND = (
    update(TABLE)
    .where(
        TABLE.c.id == bindparam("factor_id"),
        TABLE.c.confirmed_at.is_not(None),
        TABLE.c.last_step < bindparam("step"),
    )
    .values(last_step=bindparam("step"), last_used_at=_MOMENT)
)


def spend_step(checked: CheckedCode, *, now: datetime) -> bool:
    """Spend the step of a checked code, in the open transaction.

    Returns:
        False if that step or a later one is spent, or the factor is gone; then nothing changed, and
        the transaction must not go on.
    """
    parameters = {"factor_id": checked.factor_id, "step": checked.step, "moment": now}
    return execute(_SPEND, parameters).rowcount == 1


REWRAP_SLICE = 500
"""Secrets that one transaction encrypts again, so that their rows are locked briefly (chosen)."""

_REWRAP = (
    update(TABLE).where(TABLE.c.id == bindparam("factor_id")).values(secret=bindparam("sealed"))
)


def rewrap_secrets() -> Iterator[tuple[int, int]]:
    """Encrypt all secrets again under the current `SECRET_KEY`, so a fallback can be removed.

    A secret that no key opens stays as it is; it must not keep the others from it.

    Yields:
        For each committed slice, the numbers of secrets encrypted again and left as they are.
    """
    after = UUID(int=0)
    page = select(TABLE.c.id, TABLE.c.secret).order_by(TABLE.c.id).limit(REWRAP_SLICE)
    while rows := read_all(page.where(TABLE.c.id > after)):
        opened = [(row.id, _find_secret(row.id, row.secret)) for row in rows]
        sealed = [
            {"factor_id": row_id, "sealed": seal(row_id, secret)}
            for row_id, secret in opened
            if secret is not None
        ]
        if sealed:
            # A row's secret never changes otherwise: a newer set-up has another id.
            with transaction():
                execute(_REWRAP, sealed)
        yield len(sealed), len(rows) - len(sealed)
        after = rows[-1].id


def _find_secret(factor_id: UUID, sealed: bytes) -> bytes | None:
    try:
        return unseal(factor_id, sealed)
    except FactorUnavailableError:
        return None
