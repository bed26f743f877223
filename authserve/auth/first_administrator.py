"""Creating the first administrator, once, with a link that only the operator can print.

The link's token is a random value; one row holds its SHA-256. A lock covers the check that no
account exists and the use of the token, so simultaneous callers create only one administrator.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, select, update

from authserve.auth.models import ONLY_ID, TABLE, FirstLink
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import digest, random_bytes
from authserve.core.errors import NotFoundError
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import (
    dialect_insert,
    read_all,
    require_transaction,
    transaction,
)
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.passwords.validation import require_acceptable_password
from authserve.rbac.assignment import assign_initial_roles
from authserve.rbac.policy import ADMIN_ROLE, USER_ROLE
from authserve.settings.model import SETTINGS
from authserve.users.accounts import NewUser, User, add_user, lock_accounts, ref_of
from authserve.users.errors import AccountsExistError
from authserve.users.lookup import is_any_account

FIRST_LINK_LIFETIME = timedelta(hours=24)
"""Lifetime of a link (chosen: a day to pass it on)."""

TOKEN_BYTES = 48
"""Random bytes of a token: more than the 256 bits of opaque tokens (ASVS 11.5.1). Encoded they are
64 characters, like the token of every other link."""

PAGE = "/first-administrator"

ROLES = sorted((ADMIN_ROLE, USER_ROLE))


def make_first_link() -> str:
    """Return a link that creates the first administrator, once; it replaces the previous link.

    Raises:
        AccountsExistError: an account exists, so the link would have no effect.
    """
    token = encode_base64url(random_bytes(TOKEN_BYTES))
    values = {
        "digest": _digest(token),
        "expires_at": now() + FIRST_LINK_LIFETIME,
        "used_at": None,
    }
    with transaction() as session:
        if is_any_account():
            raise AccountsExistError
        statement = dialect_insert(FirstLink).values(id=ONLY_ID, **values)
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    return f"{SETTINGS.get().public_url}{PAGE}#{token}"


def make_first_administrator(
    token: str, *, email: str, password: str, request: RequestInfo
) -> tuple[User, list[str]]:
    """Create the first account, an administrator whose address counts as verified.

    Returns:
        The account, and the names of its roles.

    Raises:
        NotFoundError: the token is not the newest link's, is spent or expired, or an account
            exists.
        ValidationFailedError: the password is not acceptable; the link is not spent.
        HasherBusyError: too many passwords wait to be hashed; the link is not spent.
    """
    _require_live(token)
    require_acceptable_password(password, context=[email])
    password_hash = PASSWORD_HASHER.get().hash(password)
    new = NewUser(email=email, password_hash=password_hash, email_verified=True)
    with transaction():
        lock_accounts()
        if is_any_account() or not _consume(token):
            raise NotFoundError
        user = add_user(new)
        assign_initial_roles(ref_of(user), ROLES)
        emit(
            AuditAction.USER_CREATED,
            actor=VISITOR,
            subject=ref_of(user),
            request=request,
            details={"roles": ROLES},
        )
    return user, ROLES


def _require_live(token: str) -> None:
    """Raise unless the token can be used; called before the password is hashed."""
    if is_any_account() or not read_all(select(TABLE.c.id).where(*_is_live(token))):
        raise NotFoundError


def _consume(token: str) -> bool:
    """Spend the link, in the open transaction; return True if this caller did."""
    result = require_transaction().execute(
        update(TABLE).where(*_is_live(token)).values(used_at=now())
    )
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def _is_live(token: str) -> list[ColumnElement[bool]]:
    return [
        TABLE.c.digest == _digest(token),
        TABLE.c.used_at.is_(None),
        TABLE.c.expires_at > now(),
    ]


def _digest(token: str) -> bytes:
    return digest(token.encode())
