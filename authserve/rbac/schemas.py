"""Schemas of roles."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from authserve.http.fields import StrictBoolean, matches_pattern
from authserve.http.pagination import page_schema
from authserve.http.schemas import StrictSchema
from authserve.rbac.models import Role
from authserve.rbac.policy import (
    PERMISSION_PATTERN,
    ROLE_NAME_PATTERN,
    ROLE_NAME_RULE,
    Permission,
    is_known_permission,
)

MAX_PERMISSIONS = 100
MAX_DESCRIPTION_LENGTH = 200


def _require_known(permission: str) -> None:
    if not is_known_permission(permission):
        raise ValidationError(
            f"Not a permission. Ours are {', '.join(Permission)}; those of other services look "
            "like theirs:name."
        )


class RoleBodySchema(StrictSchema):
    """A role's description and permissions."""

    description = fields.String(
        load_default="",
        validate=validate.Length(max=MAX_DESCRIPTION_LENGTH),
        metadata={"example": "Reads accounts."},
    )
    permissions = fields.List(
        fields.String(
            validate=_require_known,
            metadata={"pattern": PERMISSION_PATTERN, "example": "users:read"},
        ),
        required=True,
        validate=validate.Length(max=MAX_PERMISSIONS),
    )


class NewRoleSchema(RoleBodySchema):
    """A role to create."""

    name = fields.String(
        required=True,
        validate=matches_pattern(ROLE_NAME_PATTERN, error=ROLE_NAME_RULE),
        metadata={"pattern": ROLE_NAME_PATTERN, "example": "support"},
    )
    requires_mfa = StrictBoolean(load_default=False)


class RoleMfaSchema(StrictSchema):
    """The switch of a role that has no effect in sessions of one factor."""

    requires_mfa = StrictBoolean(required=True, metadata={"example": True})


class RoleSchema(Schema):
    """A role as the API returns it."""

    name = fields.String(required=True, metadata={"example": "support"})
    description = fields.String(required=True, metadata={"example": "Reads accounts."})
    permissions = fields.List(fields.String(), required=True, metadata={"example": ["users:read"]})
    requires_mfa = fields.Boolean(required=True)


def role_document(role: Role) -> dict[str, Any]:
    """Return a role in the form of `RoleSchema`."""
    return {
        "name": role.name,
        "description": role.description,
        "permissions": role.permissions.split(),
        "requires_mfa": role.requires_mfa,
    }


RolePageSchema = page_schema("RolePageSchema", RoleSchema)
