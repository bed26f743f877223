"""What can be wrong with roles."""

from authserve.core.errors import NotFoundError


class RoleNotFoundError(NotFoundError):
    """No role has this name."""

    code = "role_not_found"
    default_detail = "There is no such role."
