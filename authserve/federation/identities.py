"""The identities of accounts: find the owner of one, link it, and record its use.

The functions that write join the open transaction, which must hold the lock on the user's row, so
that a link, its removal and a deletion of the account follow each other.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, select, update

from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import dialect_insert, execute, read_all
from authserve.federation.errors import IdentityNotFoundError, TooManyIdentitiesError
from authserve.federation.models import Identity, IdentityProvider
from authserve.federation.policy import KnownAccount
from authserve.mfa.factors import find_factors
from authserve.users.credentials import Credentials, find_credentials, get_credentials
from authserve.users.errors import UserNotFoundError

MAX_IDENTITIES = 10
"""Identities of one account (chosen, as for passkeys: people have few, and each is a way in)."""

_TABLE, _PROVIDERS = table_of(Identity), table_of(IdentityProvider)


@frozen(kw_only=True)
class ProviderIdentity:
    """A person at a provider.

    Args:
        subject: the provider's own id of the person.
        email: the address that it names, which decides nothing; None without one.
    """

    issuer: str
    subject: str
    email: str | None


@frozen(kw_only=True)
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


def find_email_match(email: str) -> KnownAccount | None:
    """Return the account that has an address, or None.

    Args:
        email: in canonical form.
    """
    found = find_credentials(email)
    if found is None:
        return None
    return replace(_known(found), has_factors=find_factors(found.ref.id).has_any)


def _known(account: Credentials) -> KnownAccount:
    return KnownAccount(
        id=account.ref.id,
        is_active=account.is_active,
        is_email_verified=account.email_verified,
    )


_NEW_COLUMNS = ("id", "user_id", "issuer", "subject", "email", "created_at")

_COUNT = select(func.count()).where(_TABLE.c.user_id == bindparam("owner_id"))

_NEW_ROW = select(
    *(bindparam(f"new_{name}", type_=_TABLE.c[name].type) for name in _NEW_COLUMNS)
).where(_COUNT.scalar_subquery() < MAX_IDENTITIES)


def link_identity(user_id: UUID, identity: ProviderIdentity, *, now: datetime) -> bool:
    """Link an identity to an account, in the open transaction.

    The lock on the user's row makes the count exact.

    Returns:
        False if it is an account's already, perhaps this one's.

    Raises:
        TooManyIdentitiesError: the account has `MAX_IDENTITIES`, and this one is no account's.
    """
    row = {
        "new_id": new_id(),
        "new_user_id": user_id,
        "new_issuer": identity.issuer,
        "new_subject": identity.subject,
        "new_email": identity.email,
        "new_created_at": now,
        "owner_id": user_id,
    }
    insertion = dialect_insert(Identity).from_select(_NEW_COLUMNS, _NEW_ROW)
    if execute(insertion.on_conflict_do_nothing(), row).rowcount == 1:
        return True
    if _is_full(user_id) and find_owner(identity.issuer, identity.subject) is None:
        raise TooManyIdentitiesError
    return False


def _is_full(user_id: UUID) -> bool:
    return bool(read_all(_COUNT, {"owner_id": user_id})[0][0] >= MAX_IDENTITIES)


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


_VIEW = select(*(_TABLE.c[each.name] for each in fields(LinkedIdentity)))


def find_identities(
    user_id: UUID, *, limit: int | None = None, before: UUID | None = None
) -> Sequence[LinkedIdentity]:
    """Return the identities of an account, newest first.

    Args:
        limit: greatest number of identities; None for all.
        before: only identities older than this id, for the next page.
    """
    statement = _VIEW.where(_TABLE.c.user_id == user_id).order_by(_TABLE.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_TABLE.c.id < before)
    return [LinkedIdentity(**row._mapping) for row in read_all(statement)]


def get_identity(user_id: UUID, identity_id: UUID) -> LinkedIdentity:
    """Return an identity of an account.

    Raises:
        IdentityNotFoundError: the account has no such identity.
    """
    mine = (_TABLE.c.id == identity_id) & (_TABLE.c.user_id == user_id)
    rows = read_all(_VIEW.where(mine))
    if not rows:
        raise IdentityNotFoundError
    return LinkedIdentity(**rows[0]._mapping)


def delete_identity(user_id: UUID, identity_id: UUID) -> bool:
    """Delete an identity of an account, in the open transaction.

    Returns:
        False if the account has no such identity.
    """
    mine = (_TABLE.c.id == identity_id) & (_TABLE.c.user_id == user_id)
    return execute(delete(_TABLE).where(mine)).rowcount == 1


def count_identities(issuer: str) -> int:
    """Return how many identities an issuer has here, also of a provider that was deleted."""
    return int(read_all(select(func.count()).where(_TABLE.c.issuer == issuer))[0][0])


_OPENING = (
    select(_PROVIDERS.c.slug)
    .where(
        _PROVIDERS.c.enabled,
        exists().where(
            _TABLE.c.user_id == bindparam("owner_id"), _TABLE.c.issuer == _PROVIDERS.c.issuer
        ),
    )
    .order_by(_PROVIDERS.c.slug)
)


def find_opening_providers(user_id: UUID) -> Sequence[str]:
    """Return the slugs of the enabled providers by which an account's user can sign in."""
    return [row.slug for row in read_all(_OPENING, {"owner_id": user_id})]
