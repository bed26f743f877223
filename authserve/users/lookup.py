"""Look-ups of accounts by id, address, username, or what an operator calls them."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, exists, or_, select

from authserve.core.identifiers import canonical_login_identifier
from authserve.core.ids import read_id
from authserve.database.statements import PreparedStatement
from authserve.database.transactions import read_all, require_transaction, transaction
from authserve.users.errors import UserNotFoundError
from authserve.users.models import TABLE, User, is_activated


def get_user(user_id: UUID) -> User:
    """Return the account with this id.

    Raises:
        UserNotFoundError: there is no such account (any more).
    """
    return _get_where(User.id == user_id)


def get_user_by_reference(reference: str) -> User:
    """Return the account that an operator names by its id, address or username.

    The forms cannot be confused: an address has an `@`, an id is longer than any username.

    Raises:
        UserNotFoundError: no account matches.
    """
    user_id = read_id(reference.strip())
    if user_id is not None:
        return _get_where(User.id == user_id)
    identifier = canonical_login_identifier(reference)
    if identifier is None:
        raise UserNotFoundError
    return _get_where(identifier_is(identifier))


def get_users_by_reference(references: Iterable[str]) -> list[User]:
    """Return the accounts that an operator names, each once; see `get_user_by_reference`.

    Raises:
        UserNotFoundError: a reference matches no account. With several references, the error
            names it.
    """
    wanted = list(references)
    found: dict[UUID, User] = {}
    for reference in wanted:
        try:
            user = get_user_by_reference(reference)
        except UserNotFoundError as error:
            if len(wanted) == 1:
                raise
            raise UserNotFoundError(f"There is no such user: {reference!r}.") from error
        found.setdefault(user.id, user)
    return list(found.values())


def is_any_active(user_ids: Sequence[UUID]) -> bool:
    """Return True if one of these accounts is active and activated, in the open transaction.

    An invited user's account is activated once the invitation is accepted.
    """
    condition = User.id.in_(user_ids) & User.is_active & is_activated()
    return bool(require_transaction().scalar(select(exists().where(condition))))


def is_any_account() -> bool:
    """Return True if there is an account, active or not."""
    return bool(read_all(select(exists(select(User.id))))[0][0])


_TAKEN = PreparedStatement(
    select(TABLE.c.email).where(
        or_(TABLE.c.email == bindparam("address"), TABLE.c.username == bindparam("name"))
    ),
    name="taken_identifiers",
)


def find_owning_addresses(email: str, username: str | None) -> set[str]:
    """Return the addresses of the accounts that have this address or username.

    Args:
        email, username: in canonical form.
    """
    return {row.email for row in read_all(_TAKEN, {"address": email, "name": username})}


def find_by_email(email: str) -> User | None:
    """Return the account with this canonical address, or None."""
    with transaction() as session:
        return session.scalar(select(User).where(User.email == email))


def find_user(user_id: UUID) -> User | None:
    """Return the account with this id, or None."""
    with transaction() as session:
        return session.get(User, user_id)


def _get_where(condition: ColumnElement[bool]) -> User:
    with transaction() as session:
        user = session.scalar(select(User).where(condition))
    if user is None:
        raise UserNotFoundError
    return user


def identifier_is(identifier: str) -> ColumnElement[bool]:
    """Return the SQL condition that an account has this canonical address or username."""
    return (User.email if "@" in identifier else User.username) == identifier
