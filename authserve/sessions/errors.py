"""Why a token of a session is refused; the order of judgement is the contract's."""

from authserve.core.errors import NotFoundError, UnauthenticatedError


class TokenReusedError(UnauthenticatedError):
    """A refresh token was used again after its successor; the session has been ended."""

    code = "token_reused"
    default_detail = (
        "This refresh token had been used before, so it may have been stolen. The session has "
        "been ended; sign in again."
    )


class SessionNotFoundError(NotFoundError):
    """The caller has no such session."""

    code = "session_not_found"
    default_detail = "There is no such session."
