"""Errors of the login."""

from authserve.core.errors import UnauthenticatedError


class InvalidCredentialsError(UnauthenticatedError):
    """Error for an unknown identifier or a wrong password; the client does not learn which.

    RFC 6750 §3.1: no token was presented, so the challenge carries no error code.
    """

    code = "invalid_credentials"
    default_detail = "The identifier or the password is wrong."
    challenge = ""
