"""Errors of second factors."""

from collections.abc import Sequence

from authserve.core.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from authserve.mfa.assurance import SecondStep


class MfaRequiredError(ForbiddenError):
    """Proofs that are right but not enough: the account needs a second factor.

    Args:
        methods: those that suffice, in the order in which clients offer them.
    """

    code = "mfa_required"
    default_detail = "This account needs a second factor."

    def __init__(self, methods: Sequence[SecondStep]) -> None:
        super().__init__()
        self.methods = tuple(methods)


class MfaEnrollmentRequiredError(MfaRequiredError):
    """A right proof of an account that must set up a second factor before it is used."""

    code = "mfa_enrollment_required"
    default_detail = "This account must set up a second factor first."


class FactorUnavailableError(UnavailableError):
    """A TOTP secret that no configured secret decrypts, so that no code can be compared.

    `remedy` is for the operator: it is logged, and `flask doctor` prints it.
    """

    code = "factor_unavailable"
    default_detail = "Codes cannot be checked now. Use another second factor, or try again later."
    remedy = "a TOTP secret does not open: put the former SECRET_KEY into SECRET_KEY_FALLBACKS"


class MfaTokenInvalidError(UnauthenticatedError):
    """An `mfa_token` that opens nothing (any more).

    RFC 6750 §3.1: no access token was presented, so the challenge carries no error code.
    """

    code = "mfa_token_invalid"
    default_detail = "This sign-in cannot go on. Begin again."
    challenge = ""


class MfaTokenExpiredError(UnauthenticatedError):
    """An `mfa_token` of a sign-in that took too long; see `MfaTokenInvalidError`."""

    code = "mfa_token_expired"
    default_detail = "This sign-in took too long. Begin again."
    challenge = ""
