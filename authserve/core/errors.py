"""The one error hierarchy.

A class says what kind of refusal it is by its parent, and which one by its `code`, the stable
name that clients switch on. Codes are public API: one is never renamed and never used for a
second fact. HTTP statuses are none of this module's business; `http/errors.py` maps the kinds.
"""

from collections.abc import Mapping
from typing import ClassVar


class AuthserveError(Exception):
    """Something the service refuses or cannot do, in words fit for whoever called.

    Args:
        detail: what the caller is told; the class's own sentence when left out. It never holds
            a library's or a database's words; those go to the log, as `__cause__`.
    """

    code: ClassVar[str]
    default_detail: ClassVar[str]

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.default_detail
        super().__init__(self.detail)


class MalformedRequestError(AuthserveError):
    """The request cannot be read at all."""

    code = "malformed_request"
    default_detail = "The request could not be read."


class PayloadTooLargeError(AuthserveError):
    """The body is larger than any call of ours needs."""

    code = "payload_too_large"
    default_detail = "The body is larger than 64 KiB."


class UnsupportedMediaTypeError(AuthserveError):
    """The body is not in a format that the call reads."""

    code = "unsupported_media_type"
    default_detail = "Send the body as application/json in UTF-8."


class ValidationFailedError(AuthserveError):
    """Fields were readable but not acceptable.

    Args:
        errors: field name to messages, for example `{"email": ["Not a valid address."]}`.
    """

    code = "validation_failed"
    default_detail = "Some fields are not acceptable."

    def __init__(self, errors: Mapping[str, list[str]], detail: str | None = None) -> None:
        super().__init__(detail)
        self.errors = dict(errors)


class UnauthenticatedError(AuthserveError):
    """The caller has not proven who they are.

    `challenge` is the parameter list of the `WWW-Authenticate: Bearer` header (RFC 6750 §3).
    """

    challenge: str = 'error="invalid_token"'


class AuthenticationRequiredError(UnauthenticatedError):
    """The call needs an access token, and there was none.

    RFC 6750 §3.1: without credentials the challenge carries no error code.
    """

    code = "authentication_required"
    default_detail = "Send an access token: Authorization: Bearer <token>."
    challenge = ""


class InvalidTokenError(UnauthenticatedError):
    """The token is malformed, unsigned, signed by somebody else, or of another kind."""

    code = "invalid_token"
    default_detail = "The token is not valid."


class TokenExpiredError(UnauthenticatedError):
    """The token, or the session that it belongs to, has reached its end."""

    code = "token_expired"
    default_detail = "The token has expired."


class SessionRevokedError(UnauthenticatedError):
    """The session was ended: by logout, by an administrator, by a new password, or by reuse."""

    code = "session_revoked"
    default_detail = "The session has ended. Sign in again."


class ReauthenticationRequiredError(UnauthenticatedError):
    """The call wants a password given within the last `max_age_secs` seconds (RFC 9470 §3)."""

    code = "reauthentication_required"
    default_detail = "Confirm your password first: POST /api/v1/auth/reauthenticate."

    def __init__(self, *, max_age_secs: int) -> None:
        super().__init__()
        self.challenge = f'error="insufficient_user_authentication", max_age={max_age_secs}'


class ForbiddenError(AuthserveError):
    """The caller is known, and may not do this."""


class InsufficientPermissionsError(ForbiddenError):
    """The caller lacks a permission that the call needs."""

    code = "insufficient_permissions"
    default_detail = "You do not have the permission that this needs."


class NotFoundError(AuthserveError):
    """There is no such thing, or none that the caller may know of."""

    code = "not_found"
    default_detail = "There is no such resource."


class ConflictError(AuthserveError):
    """The request is fine, but does not fit the present state."""


class InvalidTokenForUseError(AuthserveError):
    """A one-time token is unknown, spent, superseded or expired."""

    code = "invalid_or_expired_token"
    default_detail = "This link is not valid any more. Ask for a new one."


class RetryableError(AuthserveError):
    """The same request may succeed later.

    Args:
        retry_after_secs: whole seconds after which to try again; None lets the HTTP layer choose.
    """

    def __init__(self, detail: str | None = None, *, retry_after_secs: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_secs = retry_after_secs


class ThrottledError(RetryableError):
    """The caller does this too often."""


class UnavailableError(RetryableError):
    """The service, or something that it stands on, cannot answer now."""

    code = "service_unavailable"
    default_detail = "The service cannot answer at the moment. Try again shortly."
