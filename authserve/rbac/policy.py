"""The service's own permissions, and the form in which roles keep theirs."""

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
