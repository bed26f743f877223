"""The service's own permissions, and the form in which roles keep theirs."""

import re
from collections.abc import Iterable
from enum import StrEnum

ADMIN_ROLE = "admin"
USER_ROLE = "user"
BUILT_IN_ROLES = (ADMIN_ROLE, USER_ROLE)


class Permission(StrEnum):
    """What the service's own calls ask for: a closed list. Other services may define more."""

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    AUDIT_READ = "audit:read"
    TOKENS_INTROSPECT = "tokens:introspect"


def to_scope(permissions: Iterable[str]) -> str:
    """The stored form of a set of permissions: sorted, with single spaces between."""
    return " ".join(sorted(set(permissions)))


def from_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """All permissions of several stored forms together."""
    return frozenset(permission for scope in scopes for permission in scope.split())


ROLE_NAME_PATTERN = r"^[a-z0-9_.-]{1,64}$"
PERMISSION_PATTERN = r"^[a-z0-9_.-]{1,64}:[a-z0-9_.-]{1,64}$"
"""The contract's forms; the lengths are chosen."""

_OWN_NAMESPACES = frozenset(permission.partition(":")[0] for permission in Permission)


def is_role_name(name: str) -> bool:
    """Whether a role can have this name; no other needs to be looked for, nor could all be."""
    return re.fullmatch(ROLE_NAME_PATTERN.strip("^$"), name) is not None


def is_known_permission(permission: str) -> bool:
    """Whether a role may carry it: one of ours, or another service's.

    What begins like ours but is none of ours is a slip of the pen, and refused.
    """
    if re.fullmatch(PERMISSION_PATTERN.strip("^$"), permission) is None:
        return False
    namespace = permission.partition(":")[0]
    return namespace not in _OWN_NAMESPACES or permission in set(Permission)
