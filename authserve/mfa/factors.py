"""The factors that an account has."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, func, literal, null, select, union_all

from authserve.core.container import Slot
from authserve.core.frozen import frozen
from authserve.core.levels import Proof
from authserve.database.statements import table_of
from authserve.database.transactions import read_all
from authserve.mfa.assurance import Factors, SecondStep, is_mfa_required, second_steps
from authserve.mfa.errors import LastCredentialError
from authserve.mfa.models import Passkey, RecoveryCode, TotpFactor
from authserve.settings.model import SETTINGS, Mfa
from authserve.users.credentials import get_credentials

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


FURTHER_CREDENTIALS = Slot[Callable[[UUID], Sequence[str]]]("further_credentials")
"""A function that returns the names of an optional feature's ways to open an account; empty without
one."""


def find_further_credentials(user_id: UUID) -> Sequence[str]:
    """Return the names of what opens an account besides its password and its passkeys.

    It sends no statement unless an optional feature adds such a way.
    """
    find = FURTHER_CREDENTIALS.find()
    return find(user_id) if find is not None else ()


def require_credential(user_id: UUID) -> None:
    """Refuse the removal of the last credential, in the open transaction that has removed it.

    The transaction must hold the lock on the user's row, so that the second of two removals sees
    the first. A mailed code is no credential here: the operator can switch it off.

    Raises:
        LastCredentialError: neither a password nor a usable passkey nor a further credential is
            left; the transaction must not go on.
    """
    has_password = get_credentials(user_id).password_hash is not None
    if has_password or find_factors(user_id).usable_passkeys:
        return
    if not find_further_credentials(user_id):
        raise LastCredentialError


@frozen()
class TotpTimes:
    """When an account's TOTP secret was set up, and when its last code was accepted."""

    created_at: datetime
    last_used_at: datetime | None


@frozen(kw_only=True)
class MfaState:
    """An account's second factors, as its owner sees them.

    Args:
        enabled: the account's own switch.
        required: True if the operator requires a second factor by now.
        enroll_by: the time from which the operator requires one; None without such a time.
        methods: of the second step after a password, in the order in which clients offer them.
        totp: of the confirmed secret; None without one.
        passkeys: the number of passkeys, unusable ones included.
        recovery_codes_left: the number of unused recovery codes.
    """

    enabled: bool
    required: bool
    enroll_by: datetime | None
    methods: tuple[SecondStep, ...]
    totp: TotpTimes | None
    passkeys: int
    recovery_codes_left: int


_FIND_TOTP_TIMES = select(_TOTP.c.created_at, _TOTP.c.last_used_at).where(
    _TOTP.c.user_id == _OWNER, _TOTP.c.confirmed_at.is_not(None)
)


def find_mfa_state(user_id: UUID, *, mfa_enabled: bool, now: datetime) -> MfaState:
    """Return the second factors of an account.

    Args:
        user_id: the account.
        mfa_enabled: its own switch.
        now: the current time.
    """
    settings, factors = SETTINGS.get(), find_factors(user_id)
    times = read_all(_FIND_TOTP_TIMES, {"owner_id": user_id}) if factors.has_totp else []
    return MfaState(
        enabled=mfa_enabled,
        required=is_mfa_required(settings, now),
        enroll_by=settings.mfa_enroll_by if settings.mfa is Mfa.REQUIRED else None,
        methods=second_steps({Proof.PASSWORD}, factors),
        totp=TotpTimes(times[0].created_at, times[0].last_used_at) if times else None,
        passkeys=factors.passkeys,
        recovery_codes_left=factors.recovery_codes_left,
    )


@frozen(kw_only=True)
class ListedFactor:
    """A confirmed factor, without its secret.

    Args:
        kind: `TOTP` or `PASSKEY`.
        name: of a passkey; an account has one TOTP secret, so that has none.
    """

    kind: SecondStep
    id: UUID
    name: str | None
    created_at: datetime
    last_used_at: datetime | None


_LIST = union_all(
    select(
        literal(SecondStep.TOTP.value).label("kind"),
        _TOTP.c.id,
        null().label("name"),
        _TOTP.c.created_at,
        _TOTP.c.last_used_at,
    ).where(_TOTP.c.user_id == _OWNER, _TOTP.c.confirmed_at.is_not(None)),
    select(
        literal(SecondStep.PASSKEY.value).label("kind"),
        _PASSKEYS.c.id,
        _PASSKEYS.c.name,
        _PASSKEYS.c.created_at,
        _PASSKEYS.c.last_used_at,
    ).where(_PASSKEYS.c.user_id == _OWNER),
).order_by("created_at", "id")


def list_factors(user_id: UUID) -> list[ListedFactor]:
    """Return all confirmed factors of an account, unusable ones included, oldest first."""
    rows = read_all(_LIST, {"owner_id": user_id})
    return [
        ListedFactor(
            kind=SecondStep(row.kind),
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]
