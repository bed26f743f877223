"""The factors that an account has."""

from uuid import UUID

from sqlalchemy import BindParameter, bindparam, func, literal, select

from authserve.database.transactions import read_all, table_of
from authserve.mfa.assurance import Factors
from authserve.mfa.models import Passkey, RecoveryCode, TotpFactor
from authserve.settings.model import SETTINGS

_TOTP, _PASSKEYS, _CODES = table_of(TotpFactor), table_of(Passkey), table_of(RecoveryCode)
_OWNER: BindParameter[UUID] = bindparam("owner_id")

_FIND = select(
    select(literal(1))
    .where(_TOTP.c.user_id == _OWNER, _TOTP.c.confirmed_at.is_not(None))
    .exists()
    .label("has_totp"),
    select(func.count())
    .where(
        _PASSKEYS.c.user_id == _OWNER,
        _PASSKEYS.c.rp_id == bindparam("rp_id"),
        _PASSKEYS.c.flagged_at.is_(None),
    )
    .scalar_subquery()
    .label("usable_passkeys"),
    select(func.count()).where(_PASSKEYS.c.user_id == _OWNER).scalar_subquery().label("passkeys"),
    select(func.count())
    .where(_CODES.c.user_id == _OWNER, _CODES.c.used_at.is_(None))
    .scalar_subquery()
    .label("recovery_codes_left"),
)


def find_factors(user_id: UUID) -> Factors:
    """Return what an account can prove besides its password, by one SELECT.

    In an open transaction that holds the lock on the user's row, no factor comes or goes meanwhile.
    """
    row = read_all(_FIND, {"owner_id": user_id, "rp_id": SETTINGS.get().passkey_rp_id})[0]
    return Factors(
        has_totp=bool(row.has_totp),
        usable_passkeys=row.usable_passkeys,
        passkeys=row.passkeys,
        recovery_codes_left=row.recovery_codes_left,
    )
