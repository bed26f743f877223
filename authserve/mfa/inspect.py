"""Counts of factors for `flask doctor`."""

from uuid import UUID

from sqlalchemy import Select, distinct, func, select, union

from authserve.core.crypto import KEYRING, UndecryptableError
from authserve.core.frozen import frozen
from authserve.database.statements import table_of
from authserve.database.transactions import read_all
from authserve.mfa.models import Passkey, TotpFactor
from authserve.mfa.passkey_options import is_usable
from authserve.mfa.totp import SEAL_PURPOSE
from authserve.settings.model import Settings

_TOTP, _PASSKEYS = table_of(TotpFactor), table_of(Passkey)
_IS_CONFIRMED = _TOTP.c.confirmed_at.is_not(None)

MAX_DECRYPTED = 1_000
"""TOTP secrets that doctor decrypts (chosen: 20 ms). They are the oldest ones, so those that a
former `SECRET_KEY` has encrypted come first."""


def owners_of_factors(settings: Settings) -> Select[UUID]:
    """Return a subquery of the accounts that have a usable factor."""
    owners = union(
        select(_TOTP.c.user_id).where(_IS_CONFIRMED),
        select(_PASSKEYS.c.user_id).where(is_usable(settings)),
    ).subquery()
    return select(owners.c.user_id)


@frozen()
class ForeignPasskeys:
    """The passkeys that work no more, because `PASSKEY_RP_ID` is another or none now.

    Args:
        count: their number.
        accounts: the number of accounts that have no usable factor besides.
    """

    count: int
    accounts: int


def count_foreign_passkeys(settings: Settings) -> ForeignPasskeys:
    """Count the passkeys of another RP ID, and the accounts that have nothing else."""
    is_foreign = _PASSKEYS.c.rp_id != settings.passkey_rp_id
    is_alone = _PASSKEYS.c.user_id.not_in(owners_of_factors(settings))
    statement = select(
        func.count().label("passkeys"),
        func.count(distinct(_PASSKEYS.c.user_id)).filter(is_alone).label("accounts"),
    ).where(is_foreign)
    row = read_all(statement)[0]
    return ForeignPasskeys(row.passkeys, row.accounts)


def count_undecryptable_secrets() -> int:
    """Count those of the oldest `MAX_DECRYPTED` TOTP secrets that no `SECRET_KEY` decrypts."""
    statement = (
        select(_TOTP.c.id, _TOTP.c.secret)
        .where(_IS_CONFIRMED)
        .order_by(_TOTP.c.id)
        .limit(MAX_DECRYPTED)
    )
    return sum(not _is_decryptable(row.id, row.secret) for row in read_all(statement))


def _is_decryptable(factor_id: UUID, sealed: bytes) -> bool:
    try:
        KEYRING.get().decrypt(SEAL_PURPOSE, sealed, context=factor_id.bytes)
    except UndecryptableError:
        return False
    return True
