"""Roles: list, get, create, replace, require a second factor, delete.

An actor cannot create, change or delete a role with a permission that the actor lacks. Otherwise
actors could gain permissions by editing a role that they hold.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, exists, select
from sqlalchemy.exc import IntegrityError

from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import insert_if_absent, transaction
from authserve.rbac.errors import (
    BuiltInRoleError,
    RoleExistsError,
    RoleInUseError,
    RoleNotFoundError,
)
from authserve.rbac.models import Role, UserRole
from authserve.rbac.policy import ADMIN_ROLE, from_scopes, to_scope


def page_of_roles(*, limit: int, after: str | None = None) -> Sequence[Role]:
    """Return at most `limit` roles, sorted by name, whose names follow `after`."""
    statement = select(Role).order_by(Role.name).limit(limit)
    if after is not None:
        statement = statement.where(Role.name > after)
    with transaction() as session:
        return session.scalars(statement).all()


def get_role(name: str) -> Role:
    """Return the role of this name.

    Raises:
        RoleNotFoundError: no role has this name.
    """
    with transaction() as session:
        found = session.get(Role, name)
    if found is None:
        raise RoleNotFoundError
    return found


def create_role(
    name: str,
    *,
    description: str,
    permissions: Iterable[str],
    requires_mfa: bool = False,
    actor: Actor,
    request: RequestInfo,
) -> Role:
    """Create a role.

    Args:
        requires_mfa: see `set_requires_mfa`.

    Raises:
        InsufficientPermissionsError: the role would carry a permission that the actor lacks.
        RoleExistsError: a role has this name, or another caller has just created it.
    """
    wanted = frozenset(permissions)
    actor.require_permissions(wanted)
    moment = now()
    row = {
        "name": name,
        "description": description,
        "permissions": to_scope(wanted),
        "requires_mfa": requires_mfa,
        "is_built_in": False,
        "created_at": moment,
        "updated_at": moment,
    }
    with transaction() as session:
        if not session.execute(insert_if_absent(Role), row).rowcount:  # type: ignore[attr-defined]
            raise RoleExistsError
        details = {
            "role": name,
            "permissions": sorted(wanted),
            "requires_mfa": requires_mfa,
        }
        emit(AuditAction.ROLE_CREATED, actor=actor, request=request, details=details)
    return get_role(name)


def replace_role(
    name: str,
    *,
    description: str,
    permissions: Iterable[str],
    actor: Actor,
    request: RequestInfo,
) -> Role:
    """Replace a role's description and permissions; they apply to its holders at once.

    Raises:
        RoleNotFoundError: no role has this name.
        BuiltInRoleError: the role is `admin` or `user`.
        InsufficientPermissionsError: the role carries, before or after, a permission that the
            actor lacks.
    """
    wanted = frozenset(permissions)
    with transaction():
        role = _lock_replaceable(name)
        before = from_scopes([role.permissions])
        actor.require_permissions(before | wanted)
        role.description = description
        role.permissions = to_scope(wanted)
        role.updated_at = now()
        details = {"role": name, "before": sorted(before), "after": sorted(wanted)}
        emit(AuditAction.ROLE_CHANGED, actor=actor, request=request, details=details)
    return role


def set_requires_mfa(name: str, *, requires_mfa: bool, actor: Actor, request: RequestInfo) -> Role:
    """Let a role have effect from `AAL2` on only, or in every session; built-in roles too.

    It applies to live sessions at once. Roles are kept from sessions, not users from signing in, so
    no user is locked out.

    Raises:
        RoleNotFoundError: no role has this name.
        InsufficientPermissionsError: the role carries a permission that the actor lacks, or is
            `admin` and the actor is no administrator.
        StepUpRequiredError: the actor's own role for it has no effect in this session.
    """
    with transaction():
        role = _lock(name)
        _require_may_change(actor, role)
        if role.requires_mfa != requires_mfa:
            role.requires_mfa = requires_mfa
            role.updated_at = now()
            details = {"role": name, "requires_mfa": requires_mfa}
            emit(AuditAction.ROLE_CHANGED, actor=actor, request=request, details=details)
    return role


def _require_may_change(actor: Actor, role: Role) -> None:
    if role.name == ADMIN_ROLE:
        actor.require_everything()
    actor.require_permissions(from_scopes([role.permissions]))


def delete_role(name: str, *, actor: Actor, request: RequestInfo) -> None:
    """Delete a role that no user holds.

    Raises:
        RoleNotFoundError: no role has this name.
        BuiltInRoleError: the role is `admin` or `user`.
        InsufficientPermissionsError: the role carries a permission that the actor lacks.
        RoleInUseError: a user holds the role, or was granted it at the same time.
    """
    try:
        with transaction() as session:
            role = _lock_replaceable(name)
            actor.require_permissions(from_scopes([role.permissions]))
            if session.scalar(select(exists().where(UserRole.role_name == name))):
                raise RoleInUseError
            session.execute(delete(Role).where(Role.name == name))
            emit(AuditAction.ROLE_DELETED, actor=actor, request=request, details={"role": name})
    except IntegrityError as error:
        raise RoleInUseError from error


def _lock_replaceable(name: str) -> Role:
    """Return a role that is not built in, locked like `_lock`."""
    role = _lock(name)
    if role.is_built_in:
        raise BuiltInRoleError
    return role


def _lock(name: str) -> Role:
    """Return a role, locked against other changes and grants."""
    with transaction() as session:
        role = session.get(Role, name, with_for_update=True)
    if role is None:
        raise RoleNotFoundError
    return role
