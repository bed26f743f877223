"""Errors of providers and identities, and of sign-ins by them."""

from authserve.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidTokenForUseError,
    NotFoundError,
    UnavailableError,
)


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


class ProviderAwayError(UnavailableError):
    """A provider that is away or slow, or whose answer fails a check."""

    code = "provider_unavailable"
    default_detail = "The provider does not answer as it should. Nothing was changed."


class ProviderDeniedError(ForbiddenError):
    """A sign-in that was cancelled at the provider."""

    code = "provider_denied"
    default_detail = "The sign-in was cancelled at the provider."


class DomainNotAllowedError(ForbiddenError):
    """A person of a domain that may not sign in by this provider."""

    code = "domain_not_allowed"
    default_detail = "People of this domain may not sign in by this provider."


class SignUpClosedError(ForbiddenError):
    """An unknown person, for whom no account may be opened."""

    code = "sign_up_closed"
    default_detail = "No account belongs to this identity, and none may be opened for it."


class AccountExistsError(ConflictError):
    """An unknown identity whose address an account has."""

    code = "account_exists"
    default_detail = "An account has this address already. Sign in to it in another way."


class OtherAccountError(AccountExistsError):
    """A link to an account that does not have the address, or has not verified it."""


class TooManyIdentitiesError(ConflictError):
    """An account that has as many identities as an account may have."""

    code = "too_many_identities"
    default_detail = "An account can have ten identities. Unlink one first."


class IdentityTakenError(ConflictError):
    """An identity that belongs to another account."""

    code = "identity_taken"
    default_detail = "This identity belongs to another account."
