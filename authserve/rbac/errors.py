"""What can be wrong with roles."""

from authserve.core.errors import ConflictError, NotFoundError


class RoleNotFoundError(NotFoundError):
    """No role has this name."""

    code = "role_not_found"
    default_detail = "There is no such role."


class LastAdminError(ConflictError):
    """Somebody has to stay able to administer the service."""

    code = "last_admin"
    default_detail = "This is the last active administrator. Give somebody else the role first."
