"""Errors of forward authentication."""

from authserve.core.errors import ForbiddenError, UnauthenticatedError


class ForeignPeerError(ForbiddenError):
    """A call from a machine that is not one of the operator's proxies."""

    code = "foreign_peer"
    default_detail = "Only the proxies that FORWARD_AUTH_NETWORKS lists may call this."


class UnknownOriginError(ForbiddenError):
    """A call about an origin that no enabled proxied application has."""

    code = "unknown_origin"
    default_detail = "No proxied application is registered at this origin."


class NotOpenError(ForbiddenError):
    """A call of a user who has none of the roles that open the application."""

    code = "not_open"
    default_detail = "The application is not open to this account."


class SignInRequiredError(UnauthenticatedError):
    """A call to a proxied application, by a program, without a session that is good there."""

    code = "sign_in_required"
    default_detail = "Open the application in a browser, and sign in."


class SignInStateError(Exception):
    """The return from a sign-in that this browser did not begin, or too long ago: it gets a page.

    Args:
        is_loop: True if the browser has just failed like that before.
    """

    def __init__(self, *, is_loop: bool = False) -> None:
        super().__init__()
        self.is_loop = is_loop
