"""Recovery codes: made ten at a time, used once each, in place of a lost second factor.

A code has 120 random bits, so its SHA-256 is stored without a slow hash (ASVS 6.5.2). It is checked
before the transaction of the sign-in, and spent inside it:

    checked = check_recovery_code(user.id, given)   # a `CheckedRecoveryCode`, or a `ProofFailure`
    with transaction():
        if not spend_recovery_code(checked, now=moment):   # used meanwhile
            ...
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, select, update

from authserve.core.crypto import digest, random_bytes
from authserve.core.frozen import frozen
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import execute, read_all
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.models import RecoveryCode

CODES = 10
"""Codes of a set (chosen; NIST SP 800-63B-4 §4.2.1.1 asks for at least one)."""

CODE_BYTES = 15
"""Random bytes of a code: 120 bits, of which NIST SP 800-63B-4 §4.2.1.1 asks for 64."""

MAX_LENGTH = 64
"""Longest recovery code that is read, in characters: 24 of them, and room for separators."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O and U, so nothing is mistaken for a digit."""

_CODE_LENGTH, _GROUP_LENGTH = CODE_BYTES * 8 // 5, 4
_MEANINGS = str.maketrans(
    {
        **{letter.lower(): letter for letter in _ALPHABET},
        **dict.fromkeys("oO", "0"),
        **dict.fromkeys("iIlL", "1"),
        **dict.fromkeys("-\u2010\u2011\u2013\u2014 \u00a0", None),
    }
)
"""The meaning of each typed character: case, dashes and spaces do not matter, and a letter that
looks like a digit is that digit."""

_TABLE = table_of(RecoveryCode)
_MOMENT = bindparam("moment", type_=UTCDateTime)


@frozen()
class CheckedRecoveryCode:
    """A right recovery code that is not spent yet.

    Args:
        user_id: the account that it belongs to.
        digest: the SHA-256 of the code.
    """

    user_id: UUID
    digest: bytes


@frozen()
class CodeSet:
    """The recovery codes of an account.

    Args:
        left: the number of unused codes.
        created_at: the time when they were made; None if the account has none, used ones included.
    """

    left: int
    created_at: datetime | None


def make_code() -> str:
    """Return a new recovery code: six groups of four, such as `7Q0D-…-M2XA`."""
    number = int.from_bytes(random_bytes(CODE_BYTES))
    letters = "".join(
        _ALPHABET[number >> shift & 31] for shift in range(5 * (_CODE_LENGTH - 1), -1, -5)
    )
    starts = range(0, _CODE_LENGTH, _GROUP_LENGTH)
    return "-".join(letters[start : start + _GROUP_LENGTH] for start in starts)


def normalize_code(given: str) -> str | None:
    """Return a typed code in the form that is hashed; None if no code looks like it."""
    code = given.translate(_MEANINGS)
    is_code = len(code) == _CODE_LENGTH and set(code) <= set(_ALPHABET)
    return code if is_code else None


def digest_code(code: str) -> bytes:
    """Return the SHA-256 of a code that `normalize_code` returned."""
    return digest(code.encode())


def replace_codes(user_id: UUID, *, now: datetime) -> tuple[str, ...]:
    """Make a new set of recovery codes, in the open transaction; the former ones are dead.

    The transaction must hold the lock on the user's row, so that only one set is made at a time.

    Returns:
        The codes, which cannot be read again.
    """
    delete_codes(user_id)
    codes = tuple(make_code() for _ in range(CODES))
    digests = (digest_code(code.replace("-", "")) for code in codes)
    rows = [{"user_id": user_id, "digest": each, "created_at": now} for each in digests]
    execute(insert(_TABLE), rows)
    return codes


def delete_codes(user_id: UUID) -> None:
    """Delete the recovery codes of an account, in the open transaction."""
    execute(delete(_TABLE).where(_TABLE.c.user_id == user_id))


_COUNT = select(
    func.count().filter(_TABLE.c.used_at.is_(None)).label("left"),
    func.max(_TABLE.c.created_at).label("created_at"),
).where(_TABLE.c.user_id == bindparam("owner_id"))


def find_code_set(user_id: UUID) -> CodeSet:
    """Return how many recovery codes an account has left, and when they were made."""
    row = read_all(_COUNT, {"owner_id": user_id})[0]
    return CodeSet(row.left, row.created_at)


_FIND = select(_TABLE.c.digest).where(
    _TABLE.c.user_id == bindparam("owner_id"),
    _TABLE.c.digest == bindparam("wanted"),
    _TABLE.c.used_at.is_(None),
)


def check_recovery_code(user_id: UUID, given: str) -> CheckedRecoveryCode | ProofFailure:
    """Look a typed recovery code up.

    Returns:
        The checked code, or `WRONG_RECOVERY_CODE` if the account has no such unused code.
    """
    code = normalize_code(given)
    if code is None:
        return ProofFailure.WRONG_RECOVERY_CODE
    checked = CheckedRecoveryCode(user_id, digest_code(code))
    is_there = read_all(_FIND, {"owner_id": user_id, "wanted": checked.digest})
    return checked if is_there else ProofFailure.WRONG_RECOVERY_CODE


_SPEND = (
    update(_TABLE)
    .where(
        _TABLE.c.user_id == bindparam("owner_id"),
        _TABLE.c.digest == bindparam("wanted"),
        _TABLE.c.used_at.is_(None),
    )
    .values(used_at=_MOMENT)
)


def spend_recovery_code(checked: CheckedRecoveryCode, *, now: datetime) -> bool:
    """Use a checked recovery code, in the open transaction.

    Returns:
        False if it was used or replaced meanwhile; then nothing changed, and the transaction must
        not go on.
    """
    parameters = {"owner_id": checked.user_id, "wanted": checked.digest, "moment": now}
    return execute(_SPEND, parameters).rowcount == 1
