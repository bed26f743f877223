"""API routes of roles."""

from typing import Any

from authserve.core.actor import Actor
from authserve.core.levels import Level
from authserve.http.authentication import (
    current_actor,
    fresh_token_at_level_required,
    fresh_token_required,
    require_permission,
)
from authserve.http.openapi import Blueprint
from authserve.http.pagination import NamePageQuerySchema, make_page
from authserve.http.request_info import current_request_info
from authserve.rbac.errors import (
    BuiltInRoleError,
    RoleExistsError,
    RoleInUseError,
    RoleNotFoundError,
)
from authserve.rbac.policy import Permission
from authserve.rbac.roles import (
    create_role,
    delete_role,
    get_role,
    page_of_roles,
    replace_role,
    set_requires_mfa,
)
from authserve.rbac.schemas import (
    NewRoleSchema,
    RoleBodySchema,
    RoleMfaSchema,
    RolePageSchema,
    RoleSchema,
    role_document,
)

blueprint = Blueprint(
    "roles", __name__, url_prefix="/api/v1/roles", description="Roles and their permissions."
)


@blueprint.get("")
@require_permission(Permission.ROLES_READ)
@blueprint.arguments(NamePageQuerySchema, location="query")
@blueprint.response(200, RolePageSchema)
def list_roles(query: dict[str, Any]) -> dict[str, Any]:
    """List roles by name."""
    limit = query["limit"]
    found = page_of_roles(limit=limit + 1, after=query["cursor"])
    page = make_page(found, limit=limit, key=lambda role: role.name)
    return {"items": [role_document(role) for role in page.items], "next_cursor": page.next_cursor}


@blueprint.post("")
@require_permission(Permission.ROLES_WRITE)
@fresh_token_required
@blueprint.arguments(NewRoleSchema)
@blueprint.response(201, RoleSchema)
@blueprint.refuses(RoleExistsError)
def post_role(body: dict[str, Any]) -> dict[str, Any]:
    """Create a role from permissions that the caller holds."""
    role = create_role(
        body["name"],
        description=body["description"],
        permissions=body["permissions"],
        requires_mfa=body["requires_mfa"],
        actor=current_actor(),
        request=current_request_info(),
    )
    return role_document(role)


@blueprint.get("/<name>")
@require_permission(Permission.ROLES_READ)
@blueprint.response(200, RoleSchema)
@blueprint.refuses(RoleNotFoundError)
def read_role(name: str) -> dict[str, Any]:
    """Show a role."""
    return role_document(get_role(name))


@blueprint.put("/<name>")
@require_permission(Permission.ROLES_WRITE)
@fresh_token_required
@blueprint.arguments(RoleBodySchema)
@blueprint.response(200, RoleSchema)
@blueprint.refuses(RoleNotFoundError, BuiltInRoleError)
def put_role(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Replace a role's description and permissions; they apply to its holders at once."""
    role = replace_role(
        name,
        description=body["description"],
        permissions=body["permissions"],
        actor=current_actor(),
        request=current_request_info(),
    )
    return role_document(role)


def _level_for_switch(_actor: Actor) -> Level:
    """Return the level that a change of `requires_mfa` needs, for every account."""
    return Level.AAL2


@blueprint.patch("/<name>")
@require_permission(Permission.ROLES_WRITE)
@fresh_token_at_level_required(_level_for_switch)
@blueprint.arguments(RoleMfaSchema)
@blueprint.response(200, RoleSchema)
@blueprint.refuses(RoleNotFoundError)
def patch_role(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Let a role have no effect in sessions of one factor; also a built-in role."""
    role = set_requires_mfa(
        name,
        requires_mfa=body["requires_mfa"],
        actor=current_actor(),
        request=current_request_info(),
    )
    return role_document(role)


@blueprint.delete("/<name>")
@require_permission(Permission.ROLES_WRITE)
@fresh_token_required
@blueprint.response(204)
@blueprint.refuses(RoleNotFoundError, BuiltInRoleError, RoleInUseError)
def remove_role(name: str) -> None:
    """Delete a role that no user holds."""
    delete_role(name, actor=current_actor(), request=current_request_info())
