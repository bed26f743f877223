"""Errors of providers and identities, and of sign-ins by them."""

from authserve.core.errors import ConflictError, InvalidTokenForUseError, NotFoundError


class ProviderNotFoundError(NotFoundError):
    """No provider has this slug."""

    code = "provider_not_found"
    default_detail = "There is no such provider."


class ProviderExistsError(ConflictError):
    """Another provider has this slug."""

    code = "provider_exists"
    default_detail = "There is a provider with this slug already."


class UnknownStateError(InvalidTokenForUseError):
    """An answer of a provider that this browser did not ask for, or asked for too long ago."""

    code = "state_invalid"
    default_detail = "This sign-in is not open any more. Start again."


class IdentityNotFoundError(NotFoundError):
    """The account has no such identity."""

    code = "identity_not_found"
    default_detail = "This account has no such identity."
