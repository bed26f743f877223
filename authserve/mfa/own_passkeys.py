"""The passkeys of an account: adding, listing, changing and removing them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select

from authserve.core.ids import new_id
from authserve.database.transactions import execute, insert_if_absent, read_all, table_of
from authserve.mfa.ceremonies import NewPasskey
from authserve.mfa.errors import PasskeyTakenError, TooManyPasskeysError
from authserve.mfa.models import Passkey
from authserve.settings.model import SETTINGS

MAX_PASSKEYS = 10
"""Passkeys of one account (chosen: enough for every device of a person, and options stay short)."""

DEFAULT_NAME = "Passkey"
"""The name of a passkey that its owner gave none."""

TABLE = table_of(Passkey)

_COUNT = select(func.count()).where(TABLE.c.user_id == bindparam("owner_id"))


def add_passkey(user_id: UUID, new: NewPasskey, *, name: str | None, now: datetime) -> UUID:
    """Store a passkey in the open transaction, which must hold the lock on the user's row.

    The lock makes the count exact; a unique index lets one of several accounts have a credential.

    Args:
        user_id: the account.
        new: the checked registration.
        name: from its owner; None for `DEFAULT_NAME`.
        now: the time of the registration.

    Returns:
        The id of the row.

    Raises:
        TooManyPasskeysError: the account has `MAX_PASSKEYS`.
        PasskeyTakenError: the credential id is registered already.
    """
    if read_all(_COUNT, {"owner_id": user_id})[0][0] >= MAX_PASSKEYS:
        raise TooManyPasskeysError
    passkey_id = new_id()
    row = {
        "id": passkey_id,
        "user_id": user_id,
        "credential_id": new.credential_id,
        "public_key": new.public_key,
        "algorithm": new.algorithm,
        "rp_id": SETTINGS.get().passkey_rp_id,
        "sign_count": new.sign_count,
        "backup_eligible": new.is_backup_eligible,
        "backed_up": new.is_backed_up,
        "transports": list(new.transports),
        "aaguid": new.aaguid,
        "name": name or DEFAULT_NAME,
        "created_at": now,
        "counter_ignored": False,
    }
    if execute(insert_if_absent(Passkey), row).rowcount != 1:
        raise PasskeyTakenError
    return passkey_id
