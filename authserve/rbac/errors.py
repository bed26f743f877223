"""Errors of roles."""

from authserve.core.errors import ConflictError, NotFoundError


class RoleNotFoundError(NotFoundError):
    """No role has this name."""

    code = "role_not_found"
    default_detail = "There is no such role."


class RoleExistsError(ConflictError):
    """Another role has this name already."""

    code = "role_exists"
    default_detail = "There is a role of this name already."


class RoleInUseError(ConflictError):
    """At least one user holds the role."""

    code = "role_in_use"
    default_detail = "A user holds this role. Revoke it from every user first."


class BuiltInRoleError(ConflictError):
    """The service relies on this role, so it can be neither changed nor deleted."""

    code = "role_built_in"
    default_detail = "The roles admin and user can be neither changed nor deleted."
