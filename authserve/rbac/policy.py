"""The service's own permissions, and the form in which a role stores permissions."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from authserve.core.frozen import frozen
from authserve.core.levels import Level

ADMIN_ROLE = "admin"
USER_ROLE = "user"
BUILT_IN_ROLES = (ADMIN_ROLE, USER_ROLE)


class Permission(StrEnum):
    """Permissions that the service's own calls require: a closed list.

    Other services may define their own.
    """

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    AUDIT_READ = "audit:read"
    TOKENS_INTROSPECT = "tokens:introspect"
    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    PROVIDERS_READ = "providers:read"
    PROVIDERS_WRITE = "providers:write"


def to_scope(permissions: Iterable[str]) -> str:
    """Return the stored form of a set of permissions: sorted, separated by single spaces."""
    return " ".join(sorted(set(permissions)))


def from_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Return the union of several stored sets of permissions."""
    return frozenset(permission for scope in scopes for permission in scope.split())


def effective_roles(
    always: Iterable[str], with_mfa: Iterable[str], *, level: Level
) -> tuple[str, ...]:
    """Return the names of the roles that have effect in a session, sorted.

    It is the only source of roles for permissions and tokens.

    Args:
        always: the user's roles without `requires_mfa`.
        with_mfa: those with it, which have no effect below `AAL2`.
        level: the session's.
    """
    return tuple(sorted((*always, *with_mfa) if level >= Level.AAL2 else always))


class HeldRole(Protocol):
    """The columns of a role that a user holds."""

    @property
    def role_name(self) -> str | None:
        """The name; None in the one row of a user without roles."""

    @property
    def permissions(self) -> str:
        """The stored form, as `to_scope` returns it."""

    @property
    def requires_mfa(self) -> bool:
        """True if it has no effect below `AAL2`."""


@frozen(kw_only=True)
class RolesAtLevel:
    """The roles of a user by their effect at a level.

    Args:
        effective: names of those that have effect, sorted.
        permissions: of the effective ones.
        sleeping: names of the others, which have effect from `AAL2` on.
        sleeping_permissions: of the sleeping ones.
    """

    effective: tuple[str, ...]
    permissions: frozenset[str]
    sleeping: frozenset[str]
    sleeping_permissions: frozenset[str]


def roles_at_level(roles: Iterable[HeldRole], *, level: Level) -> RolesAtLevel:
    """Return the roles of a user, and their permissions, by their effect at a level."""
    held = {role.role_name: role for role in roles if role.role_name is not None}
    with_mfa = {name for name, role in held.items() if role.requires_mfa}
    effective = effective_roles(held.keys() - with_mfa, with_mfa, level=level)
    sleeping = frozenset(held.keys() - set(effective))
    return RolesAtLevel(
        effective=effective,
        permissions=from_scopes([held[name].permissions for name in effective]),
        sleeping=sleeping,
        sleeping_permissions=from_scopes([held[name].permissions for name in sleeping]),
    )


ROLE_NAME_PATTERN = r"^[a-z0-9_.-]{1,64}$"
PERMISSION_PATTERN = r"^[a-z0-9_.-]{1,64}:[a-z0-9_.-]{1,64}$"
"""Patterns from the API contract; the lengths are chosen."""

ROLE_NAME_RULE = "1 to 64 small letters, digits, dots, hyphens and underscores."
"""`ROLE_NAME_PATTERN` in words."""

_OWN_NAMESPACES = frozenset(permission.partition(":")[0] for permission in Permission)


def is_role_name(name: str) -> bool:
    """Return True if a role can have this name.

    Other text is not looked up: no role has it, and a database may refuse such text.
    """
    return re.fullmatch(ROLE_NAME_PATTERN, name) is not None


def is_known_permission(permission: str) -> bool:
    """Return True if a role may carry this permission: one of ours or another service's.

    An unknown permission in one of our namespaces is refused as a typing mistake.
    """
    if re.fullmatch(PERMISSION_PATTERN, permission) is None:
        return False
    namespace = permission.partition(":")[0]
    return namespace not in _OWN_NAMESPACES or permission in set(Permission)
