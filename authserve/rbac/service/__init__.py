"""Roles, and who holds them."""

from authserve.rbac.models import Role
from authserve.rbac.policy import ADMIN_ROLE, USER_ROLE, Permission
from authserve.rbac.service.assignment import (
    assign_initial_roles,
    assign_roles_in_bulk,
    find_missing_roles,
    grant_role,
    holders_of,
    keep_an_admin,
    require_may_act_on,
    require_may_grant,
    require_role,
    revoke_role,
    roles_of,
    roles_of_many,
    set_roles,
)
from authserve.rbac.service.roles import (
    create_role,
    delete_role,
    get_role,
    page_of_roles,
    replace_role,
)

__all__ = [
    "ADMIN_ROLE",
    "USER_ROLE",
    "Permission",
    "Role",
    "assign_initial_roles",
    "assign_roles_in_bulk",
    "create_role",
    "delete_role",
    "find_missing_roles",
    "get_role",
    "grant_role",
    "holders_of",
    "keep_an_admin",
    "page_of_roles",
    "replace_role",
    "require_may_act_on",
    "require_may_grant",
    "require_role",
    "revoke_role",
    "roles_of",
    "roles_of_many",
    "set_roles",
]
