"""Errors of providers."""

from authserve.core.errors import ConflictError, NotFoundError


class ProviderNotFoundError(NotFoundError):
    """No provider has this slug."""

    code = "provider_not_found"
    default_detail = "There is no such provider."


class ProviderExistsError(ConflictError):
    """Another provider has this slug."""

    code = "provider_exists"
    default_detail = "There is a provider with this slug already."
