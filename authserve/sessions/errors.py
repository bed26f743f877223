"""Errors of sessions and their tokens."""

from authserve.core.errors import NotFoundError, UnauthenticatedError


class TokenReusedError(UnauthenticatedError):
    """A replaced refresh token was used again; the session has been ended."""

    code = "token_reused"
    default_detail = (
        "This refresh token had been used before, so it may have been stolen. The session has "
        "been ended; sign in again."
    )


class SessionNotFoundError(NotFoundError):
    """The user has no such live session."""

    code = "session_not_found"
    default_detail = "There is no such session."
