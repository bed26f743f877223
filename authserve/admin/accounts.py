"""Use cases of operators that need several features."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from authserve.core.actor import Actor, RequestInfo
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.rbac.assignment import (
    assign_initial_roles,
    holders_of,
    require_role,
    roles_of,
    roles_of_many,
)
from authserve.rbac.policy import USER_ROLE
from authserve.users.accounts import NewUser, User, add_user, ref_of
from authserve.users.lists import Position, UserFilters, page_of_users, position_of

PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class UserWithRoles:
    """An account and the names of its roles."""

    user: User
    roles: Sequence[str]


def create_user(
    new: NewUser, *, roles: Iterable[str], actor: Actor, request: RequestInfo
) -> UserWithRoles:
    """Create an account for another person; it always gets the role `user` too.

    Raises:
        EmailTakenError, UsernameTakenError: another account has the address or username.
        RoleNotFoundError: one of the roles does not exist.
    """
    names = sorted({USER_ROLE, *roles})
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), names)
        emit(
            AuditAction.USER_CREATED,
            actor=actor,
            subject=ref_of(user),
            request=request,
            details={"roles": names},
        )
    return UserWithRoles(user, names)


def with_roles(user: User) -> UserWithRoles:
    """Return the account with the names of its roles."""
    return UserWithRoles(user, roles_of(user.id))


def list_users(
    *, role: str | None = None, is_active: bool | None = None
) -> Iterator[UserWithRoles]:
    """Yield every matching account, oldest first, in bounded memory.

    Raises:
        RoleNotFoundError: the role does not exist.
    """
    if role is not None:
        require_role(role)
    ids = None if role is None else holders_of(role)
    filters = UserFilters(is_active=is_active, ids=ids)
    after: Position | None = None
    while users := page_of_users(filters, after=after, limit=PAGE_SIZE):
        held = roles_of_many([user.id for user in users])
        for user in users:
            yield UserWithRoles(user, held[user.id])
        after = position_of(users[-1])
