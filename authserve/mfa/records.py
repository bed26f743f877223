"""Factors of many accounts at once, with their secrets, for export and import."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select
from sqlalchemy.exc import IntegrityError

from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.database.statements import table_of
from authserve.database.transactions import read_all, require_transaction
from authserve.mfa.errors import PasskeyTakenError
from authserve.mfa.models import Passkey, RecoveryCode, TotpFactor
from authserve.mfa.totp import seal, unseal

_TOTP, _PASSKEYS, _CODES = table_of(TotpFactor), table_of(Passkey), table_of(RecoveryCode)


@frozen(kw_only=True)
class TotpRecord:
    """A confirmed TOTP secret, decrypted.

    Args:
        last_step: the time step of the last accepted code; none of it or earlier is accepted again.
    """

    secret: bytes = field(repr=False)
    last_step: int
    created_at: datetime
    last_used_at: datetime | None


@frozen(kw_only=True)
class PasskeyRecord:
    """A passkey with every column but its owner; see `mfa.models.Passkey`."""

    credential_id: bytes
    public_key: bytes
    algorithm: int
    rp_id: str
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    transports: list[str]
    aaguid: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    flagged_at: datetime | None
    counter_ignored: bool


@frozen(kw_only=True)
class RecoveryCodeRecord:
    """The digest of a recovery code."""

    digest: bytes
    created_at: datetime
    used_at: datetime | None


@frozen(kw_only=True)
class FactorRecords:
    """The factors of an account."""

    totp: TotpRecord | None = None
    passkeys: tuple[PasskeyRecord, ...] = ()
    recovery_codes: tuple[RecoveryCodeRecord, ...] = ()


NO_FACTORS = FactorRecords()


def read_records(user_ids: Sequence[UUID]) -> Mapping[UUID, FactorRecords]:
    """Return the factors of accounts, with decrypted secrets, by three statements.

    Raises:
        FactorUnavailableError: a secret cannot be decrypted; the remedy has been logged.
    """
    totp = {
        row.user_id: TotpRecord(
            secret=unseal(row.id, row.secret),
            last_step=row.last_step,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in read_all(
            select(_TOTP).where(_TOTP.c.user_id.in_(user_ids), _TOTP.c.confirmed_at.is_not(None))
        )
    }
    of_owners = select(_PASSKEYS).where(_PASSKEYS.c.user_id.in_(user_ids))
    passkeys = _by_owner(of_owners.order_by(_PASSKEYS.c.id), PasskeyRecord)
    of_owners = select(_CODES).where(_CODES.c.user_id.in_(user_ids))
    codes = _by_owner(of_owners.order_by(_CODES.c.digest), RecoveryCodeRecord)
    return {
        user_id: FactorRecords(
            totp=totp.get(user_id),
            passkeys=tuple(passkeys[user_id]),
            recovery_codes=tuple(codes[user_id]),
        )
        for user_id in user_ids
    }


def _by_owner(statement: Select[Any], record: Any) -> Mapping[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    names = [each.name for each in fields(record)]
    for row in read_all(statement):
        found[row.user_id].append(record(**{name: getattr(row, name) for name in names}))
    return found


def find_taken_credentials(credential_ids: Sequence[bytes]) -> set[bytes]:
    """Return those of `credential_ids` that an account has."""
    statement = select(_PASSKEYS.c.credential_id).where(
        _PASSKEYS.c.credential_id.in_(credential_ids)
    )
    return {row.credential_id for row in read_all(statement)}


def write_records(records: Mapping[UUID, FactorRecords]) -> None:
    """Insert the factors of new accounts in the open transaction; secrets are encrypted anew.

    Raises:
        PasskeyTakenError: another account has registered a passkey meanwhile; the transaction must
            not go on.
    """
    totp = [_totp_row(owner, found.totp) for owner, found in records.items() if found.totp]
    passkeys = [
        {"id": new_id(), "user_id": owner, **asdict(passkey)}
        for owner, found in records.items()
        for passkey in found.passkeys
    ]
    codes = [
        {"user_id": owner, **asdict(code)}
        for owner, found in records.items()
        for code in found.recovery_codes
    ]
    session = require_transaction()
    try:
        for table, rows in ((_TOTP, totp), (_PASSKEYS, passkeys), (_CODES, codes)):
            if rows:
                session.execute(insert(table), rows)
    except IntegrityError as error:
        raise PasskeyTakenError from error


def _totp_row(user_id: UUID, totp: TotpRecord) -> dict[str, Any]:
    factor_id = new_id()
    return {
        "id": factor_id,
        "user_id": user_id,
        "secret": seal(factor_id, totp.secret),
        "last_step": totp.last_step,
        "created_at": totp.created_at,
        "confirmed_at": totp.created_at,
        "last_used_at": totp.last_used_at,
    }
