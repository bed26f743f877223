"""Errors of API keys."""

from authserve.core.errors import ConflictError, NotFoundError


class APIKeyNotFoundError(NotFoundError):
    """The user has no key of this id."""

    code = "api_key_not_found"
    default_detail = "There is no such API key."


class TooManyKeysError(ConflictError):
    """The user has as many live keys as a user can have."""

    code = "too_many_keys"
    default_detail = "You have 50 API keys. Revoke one first."
