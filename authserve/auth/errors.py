"""Why nobody gets in."""

from authserve.core.errors import UnauthenticatedError


class InvalidCredentialsError(UnauthenticatedError):
    """No account has this identifier, or the password is wrong; nobody is told which.

    RFC 6750 §3.1: no token was presented, so the challenge carries no error code.
    """

    code = "invalid_credentials"
    default_detail = "The identifier or the password is wrong."
    challenge = ""
