"""Completion of many existing accounts with data from another system."""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, and_, bindparam, case, func, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.core.identifiers import search_key
from authserve.database.transactions import read_all, require_transaction
from authserve.users.bulk import ImportedUser
from authserve.users.errors import UsernameTakenError
from authserve.users.models import TABLE, is_activated
from authserve.users.released_usernames import require_not_held

_FILLABLE = ("username", "display_name", "password_hash", "last_login_at")
"""Fields that are filled if they are null."""


@frozen(kw_only=True)
class StoredUser:
    """Fields of an existing account that can be filled."""

    id: UUID
    audit_id: UUID
    username: str | None
    display_name: str | None
    password_hash: str | None = field(repr=False)
    email_verified: bool
    is_activated: bool
    last_login_at: datetime | None


@frozen(kw_only=True)
class UserFill:
    """Fields to fill in an account; a field that is None is not filled."""

    id: UUID
    username: str | None = None
    display_name: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    last_login_at: datetime | None = None
    email_verified: bool = False
    verified_hash: str | None = field(default=None, repr=False)
    """Hash of the imported password: the address becomes verified only if the account has this hash
    or no credential."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields that are filled."""
        names = tuple(name for name in _FILLABLE if getattr(self, name) is not None)
        return (*names, "email_verified") if self.email_verified else names


def is_same_person(stored: StoredUser, imported: ImportedUser) -> bool:
    """Return True if an account is sure to belong to the person of the other system's account.

    Its address is verified here, it has no credential yet, or it has the imported password. A
    stranger may have registered any other account with this address, with a password of their own
    or with an identity at another provider (pre-hijacking).
    """
    if stored.email_verified or not stored.is_activated:
        return True
    return stored.password_hash is not None and stored.password_hash == imported.password_hash


def name_withheld(stored: StoredUser, imported: ImportedUser, *, with_roles: bool) -> list[str]:
    """Return the names of the fields that an account that may be a stranger's does not get.

    Args:
        with_roles: True if the account lacks roles of the other system's.
    """
    has_password = stored.password_hash is None and imported.password_hash is not None
    withheld = {"password_hash": has_password, "roles": with_roles}
    return [name for name, is_withheld in withheld.items() if is_withheld]


def plan_fill(stored: StoredUser, imported: ImportedUser) -> UserFill:
    """Return the fields that an account lacks and the other system has.

    An account that may be a stranger's (`is_same_person`) gets neither a password nor a verified
    address: its first holder could still sign in after its owner has come by either.
    """
    missing = {name: getattr(imported, name) for name in _FILLABLE if getattr(stored, name) is None}
    is_same = is_same_person(stored, imported)
    if not is_same:
        missing.pop("password_hash", None)
    return UserFill(
        id=stored.id,
        **missing,
        email_verified=imported.email_verified and not stored.email_verified and is_same,
        verified_hash=imported.password_hash,
    )


def find_stored_users(ids: Sequence[UUID]) -> dict[UUID, StoredUser]:
    """Return the accounts with these ids, by id."""
    columns = (
        TABLE.c.id,
        TABLE.c.audit_id,
        TABLE.c.email_verified,
        is_activated().label("is_activated"),
        *(TABLE.c[name] for name in _FILLABLE),
    )
    rows = read_all(select(*columns).where(TABLE.c.id.in_(ids)))
    return {row.id: StoredUser(**row._mapping) for row in rows}


def is_hash_stored(prefix: str) -> bool:
    """Return True if a password hash begins with `prefix`; this may read all accounts."""
    is_such = TABLE.c.password_hash.startswith(prefix, autoescape=True)
    return bool(read_all(select(TABLE.c.id).where(is_such).limit(1)))


def fill_users_in_bulk(fills: Sequence[UserFill]) -> None:
    """Fill accounts in the open transaction; values set meanwhile are kept.

    Raises:
        UsernameTakenError: another account took a username meanwhile, or it is held for one; the
            transaction must not go on.
    """
    if not fills:
        return
    try:
        require_transaction().execute(_FILL, [_parameters(fill) for fill in fills])
    except IntegrityError as error:
        raise UsernameTakenError from error
    require_not_held({fill.username: fill.id for fill in fills if fill.username})


def _parameters(fill: UserFill) -> dict[str, Any]:
    name = fill.display_name
    return {
        "user_id": fill.id,
        "now": now(),
        "new_name_key": None if name is None else search_key(name),
        "verify": fill.email_verified,
        "verified_hash": fill.verified_hash,
        **{f"new_{name}": getattr(fill, name) for name in _FILLABLE},
    }


def _filled(name: str) -> Any:
    column = TABLE.c[name]
    return func.coalesce(column, bindparam(f"new_{name}", type_=column.type))


_HASH, _NEW_HASH = (
    TABLE.c.password_hash,
    bindparam("new_password_hash", type_=TABLE.c.password_hash.type),
)
_MAY_GET_PASSWORD = and_(_HASH.is_(None), or_(TABLE.c.email_verified, ~is_activated()))
_IS_SAME_ACCOUNT = or_(~is_activated(), bindparam("verified_hash", type_=_HASH.type) == _HASH)

_FILL = (
    update(TABLE)
    .where(TABLE.c.id == bindparam("user_id"))
    .values(
        **{name: _filled(name) for name in (*_FILLABLE, "name_key") if name != "password_hash"},
        password_hash=case((_MAY_GET_PASSWORD, _NEW_HASH), else_=_HASH),
        password_version=TABLE.c.password_version
        + case((and_(_MAY_GET_PASSWORD, _NEW_HASH.is_not(None)), 1), else_=0),
        email_verified=case(
            (and_(bindparam("verify", type_=Boolean), _IS_SAME_ACCOUNT), true()),
            else_=TABLE.c.email_verified,
        ),
        updated_at=bindparam("now"),
    )
)
"""Built once, because building a statement takes longer than running it (measured)."""
