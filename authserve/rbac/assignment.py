"""Assignment of roles to users."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import Select, bindparam, delete, insert, select

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.events import AuditAction, DomainEvent
from authserve.database.emit import emit
from authserve.database.statements import PreparedStatement, table_of
from authserve.database.transactions import (
    execute_prepared,
    insert_if_absent,
    read_all,
    require_transaction,
    transaction,
)
from authserve.rbac.errors import RoleNotFoundError
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import ADMIN_ROLE, USER_ROLE, from_scopes, is_role_name
from authserve.users.accounts import lock_user, mark_changed
from authserve.users.errors import LastAdminError
from authserve.users.lookup import is_any_active


def roles_of(user_id: UUID) -> tuple[str, ...]:
    """Return the names of a user's roles, sorted."""
    with transaction() as session:
        names = session.scalars(
            select(UserRole.role_name)
            .where(UserRole.user_id == user_id)
            .order_by(UserRole.role_name)
        )
        return tuple(names)


def roles_of_many(user_ids: Sequence[UUID]) -> dict[UUID, tuple[str, ...]]:
    """Return the sorted names of each user's roles, read in one statement."""
    held: dict[UUID, list[str]] = {user_id: [] for user_id in user_ids}
    statement = (
        select(UserRole.user_id, UserRole.role_name)
        .where(UserRole.user_id.in_(user_ids))
        .order_by(UserRole.role_name)
    )
    for row in read_all(statement):
        held[row.user_id].append(row.role_name)
    return {user_id: tuple(names) for user_id, names in held.items()}


def find_missing_roles(names: Iterable[str]) -> set[str]:
    """Return those of `names` that no role has."""
    wanted = set(names)
    return wanted - {row.name for row in read_all(_among(wanted))}


def _among(names: Iterable[str]) -> Select[str]:
    """Return a query for those of `names` that are roles; it omits text that no role can have."""
    return select(Role.name).where(Role.name.in_(filter(is_role_name, names)))


def require_role(name: str) -> None:
    """Refuse a name that no role has.

    Raises:
        RoleNotFoundError: no role has this name.
    """
    if find_missing_roles([name]):
        raise RoleNotFoundError(f"There is no role named {name!r}.")


def holders_of(role: str) -> Select[UUID]:
    """Return a subquery of the ids of a role's holders, for conditions of other features."""
    return select(UserRole.user_id).where(UserRole.role_name == role)


def require_may_act_on(actor: Actor, user_id: UUID) -> None:
    """Refuse to act on a user who has more permissions than the actor.

    Otherwise a support user could change an administrator's address and take the account over.

    Raises:
        InsufficientPermissionsError: the user holds a permission that the actor lacks.
    """
    require_may_grant(actor, roles_of(user_id))


def require_may_grant(actor: Actor, roles: Iterable[str]) -> None:
    """Refuse to grant permissions that the actor lacks; only administrators grant `admin`.

    Raises:
        InsufficientPermissionsError: a role carries a permission that the actor lacks, or is
            `admin` and the actor is no administrator.
        StepUpRequiredError: the actor's own role for it has no effect in this session.
    """
    names = set(roles)
    rows = read_all(select(Role.permissions).where(Role.name.in_(names)))
    allowed = from_scopes(row.permissions for row in rows)
    if ADMIN_ROLE in names:
        actor.require_everything()
    actor.require_permissions(allowed)


def set_roles(
    user: UserRef, wanted: Iterable[str], *, actor: Actor, request: RequestInfo
) -> tuple[str, ...]:
    """Give a user exactly the roles `wanted`.

    Returns:
        The names that the user holds now, sorted.

    Raises:
        UserNotFoundError: the account is gone.
        RoleNotFoundError: one of the roles does not exist; nothing changes.
        LastAdminError: the service would have no active administrator.
    """
    names = set(wanted)
    with transaction():
        # Transactions that lock this user to check their roles wait, so no grant comes in between.
        account = lock_user(user.id)
        held = set(roles_of(user.id))
        granted, revoked = names - held, held - names
        _insert(user, granted)
        _delete(user, revoked)
        if granted or revoked:
            mark_changed(account)
            emit(
                AuditAction.USER_ROLES_CHANGED,
                actor=actor,
                subject=user,
                request=request,
                details={"granted": sorted(granted), "revoked": sorted(revoked)},
            )
    return tuple(sorted(names))


def grant_role(user: UserRef, role: str, *, actor: Actor, request: RequestInfo) -> tuple[str, ...]:
    """Give a user one more role; see `set_roles`."""
    with transaction():
        # Lock before the roles are read, or a concurrent grant would be lost.
        lock_user(user.id)
        return set_roles(user, {*roles_of(user.id), role}, actor=actor, request=request)


def revoke_role(user: UserRef, role: str, *, actor: Actor, request: RequestInfo) -> tuple[str, ...]:
    """Take one role from a user; see `set_roles`.

    Raises:
        RoleNotFoundError: there is no such role, so a typing mistake is reported.
    """
    require_role(role)
    with transaction():
        lock_user(user.id)
        return set_roles(user, set(roles_of(user.id)) - {role}, actor=actor, request=request)


def assign_initial_roles(user: UserRef, names: Iterable[str]) -> None:
    """Give a new account its first roles, in the transaction that creates it.

    Raises:
        RoleNotFoundError: one of the roles does not exist.
    """
    _insert(user, set(names))


def assign_roles_in_bulk(pairs: Iterable[tuple[UUID, str]]) -> None:
    """Give many new accounts their roles, in the transaction that creates them.

    Args:
        pairs: user id and role name; each role must exist.
    """
    rows = [{"user_id": user_id, "role_name": name} for user_id, name in pairs]
    if rows:
        require_transaction().execute(insert_if_absent(UserRole), rows)


def record_roles_in_bulk(
    given: Iterable[tuple[UserRef, Iterable[str]]], *, actor: Actor, request: RequestInfo
) -> None:
    """Record the roles of each account of an import, in the transaction that assigns them.

    An account without roles besides `user` has no event of its own.

    Args:
        given: an account, and the roles that it did not have before.
    """
    for user, names in given:
        if granted := sorted(set(names) - {USER_ROLE}):
            emit(
                AuditAction.USER_ROLES_CHANGED,
                actor=actor,
                subject=user,
                request=request,
                details={"granted": granted, "revoked": []},
            )


def keep_an_admin(event: DomainEvent) -> None:
    """Handle a deactivation or deletion: refuse it for the last active administrator.

    Raises:
        LastAdminError: no other active administrator exists; the transaction rolls back.
    """
    if event.subject is not None and ADMIN_ROLE in roles_of(event.subject.id):
        _require_other_admin(event.subject.id)


def _insert(user: UserRef, names: set[str]) -> None:
    for name in sorted(names):
        if not is_role_name(name) or not execute_prepared(
            _INSERT, {"holder_id": user.id, "wanted": name}
        ):
            raise RoleNotFoundError(f"There is no role named {name!r}.")


_ROLES = table_of(Role)
_HOLDER = bindparam("holder_id", type_=UserRole.user_id.type)
_INSERT = PreparedStatement(
    insert(UserRole)
    .from_select(
        ["user_id", "role_name"],
        select(_HOLDER, _ROLES.c.name)
        .where(_ROLES.c.name == bindparam("wanted"))
        # The share lock keeps a role from being deleted until the row that needs it is there.
        .with_for_update(read=True),
    )
    .returning(UserRole.role_name),
    name="assign_role",
)
"""Inserts and returns nothing if no role has the name. Every registration runs it."""


def _delete(user: UserRef, names: set[str]) -> None:
    if not names:
        return
    if ADMIN_ROLE in names:
        _require_other_admin(user.id)
    require_transaction().execute(
        delete(UserRole).where(UserRole.user_id == user.id, UserRole.role_name.in_(names))
    )


def _require_other_admin(user_id: UUID) -> None:
    """Raise `LastAdminError` unless another user is an active administrator.

    The lock on the role's row serializes these checks: if two administrators revoke each other's
    role at once, the second sees the first change.
    """
    session = require_transaction()
    session.execute(select(Role.name).where(Role.name == ADMIN_ROLE).with_for_update())
    others = session.scalars(
        select(UserRole.user_id).where(
            UserRole.role_name == ADMIN_ROLE, UserRole.user_id != user_id
        )
    )
    if not is_any_active(others.all()):
        raise LastAdminError
