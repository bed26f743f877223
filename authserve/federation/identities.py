"""The identities of accounts: whose an identity is, its link to an account, and its use.

The functions that write join the open transaction, which must hold the lock on the user's row, so
that a link, its removal and a deletion of the account follow each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update

from authserve.core.ids import new_id
from authserve.database.transactions import (
    UTCDateTime,
    execute,
    insert_if_absent,
    read_all,
    table_of,
)
from authserve.federation.models import Identity
from authserve.federation.policy import KnownAccount
from authserve.users.credentials import Credentials, find_credentials, get_credentials
from authserve.users.errors import UserNotFoundError

_TABLE = table_of(Identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderIdentity:
    """A person at a provider.

    Args:
        subject: the provider's own id of the person.
        email: the address that it names, which decides nothing; None without one.
    """

    issuer: str
    subject: str
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedIdentity:
    """An identity as its owner sees it.

    Args:
        last_used_at: of the last sign-in with it; None before the first.
    """

    id: UUID
    issuer: str
    email: str | None
    created_at: datetime
    last_used_at: datetime | None


_OWNER = select(_TABLE.c.user_id).where(
    _TABLE.c.issuer == bindparam("asked_issuer"), _TABLE.c.subject == bindparam("asked_subject")
)


def find_owner(issuer: str, subject: str) -> KnownAccount | None:
    """Return the account that an identity is linked to, or None."""
    rows = read_all(_OWNER, {"asked_issuer": issuer, "asked_subject": subject})
    if not rows:
        return None
    try:
        return _known(get_credentials(rows[0].user_id))
    except UserNotFoundError:
        # The account was deleted meanwhile, and its identities with it.
        return None


def find_namesake(email: str) -> KnownAccount | None:
    """Return the account that has an address, or None.

    Args:
        email: in canonical form.
    """
    found = find_credentials(email)
    return _known(found) if found is not None else None


def _known(account: Credentials) -> KnownAccount:
    return KnownAccount(
        id=account.ref.id,
        is_active=account.is_active,
        is_email_verified=account.email_verified,
    )


def link_identity(user_id: UUID, identity: ProviderIdentity, *, now: datetime) -> bool:
    """Make an identity an account's, in the open transaction.

    Returns:
        False if it is an account's already, perhaps this one's.
    """
    row = {
        "id": new_id(),
        "user_id": user_id,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "email": identity.email,
        "created_at": now,
        "last_used_at": None,
    }
    return execute(insert_if_absent(Identity), row).rowcount == 1


_RECORD_USE = (
    update(_TABLE)
    .where(
        _TABLE.c.issuer == bindparam("asked_issuer"),
        _TABLE.c.subject == bindparam("asked_subject"),
        _TABLE.c.user_id == bindparam("owner_id"),
    )
    .values(last_used_at=bindparam("moment", type_=UTCDateTime), email=bindparam("present_email"))
)


def record_use(user_id: UUID, identity: ProviderIdentity, *, now: datetime) -> bool:
    """Record a sign-in with an identity, in the open transaction.

    Returns:
        False if it is not this account's (any more); then no session may start.
    """
    parameters = {
        "owner_id": user_id,
        "asked_issuer": identity.issuer,
        "asked_subject": identity.subject,
        "present_email": identity.email,
        "moment": now,
    }
    return execute(_RECORD_USE, parameters).rowcount == 1


_OF_USER = (
    select(
        _TABLE.c.id,
        _TABLE.c.issuer,
        _TABLE.c.email,
        _TABLE.c.created_at,
        _TABLE.c.last_used_at,
    )
    .where(_TABLE.c.user_id == bindparam("owner_id"))
    .order_by(_TABLE.c.id)
)


def find_identities(user_id: UUID) -> Sequence[LinkedIdentity]:
    """Return the identities of an account, oldest first."""
    return [
        LinkedIdentity(
            id=row.id,
            issuer=row.issuer,
            email=row.email,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in read_all(_OF_USER, {"owner_id": user_id})
    ]
