"""Errors of the login."""

from authserve.core.errors import UnauthenticatedError


class InvalidCredentialsError(UnauthenticatedError):
    """Error for an unknown identifier or a wrong password; the client does not learn which.

    RFC 6750 §3.1: no token was presented, so the challenge carries no error code.
    """

    code = "invalid_credentials"
    default_detail = "The identifier or the password is wrong."
    challenge = ""


class UnlinkedIdentityError(UnauthenticatedError):
    """Error for a sign-in by a provider whose identity was unlinked from the account meanwhile."""

    code = "unlinked_identity"
    default_detail = "This sign-in opens no account any more."
    challenge = ""


class WrongCodeError(UnauthenticatedError):
    """Error for a code that is wrong, or not valid any more, during a sign-in."""

    code = "invalid_code"
    default_detail = "The code is not right, or not any more."
    challenge = ""


class ReusedCodeError(UnauthenticatedError):
    """Error for a right code of an app, during a sign-in, whose time step is spent."""

    code = "code_reused"
    default_detail = "This code was used already. Wait for the next one."
    challenge = ""
