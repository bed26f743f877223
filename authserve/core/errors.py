"""The one error hierarchy.

The parent class is the kind of refusal; the `code` is the stable name that clients switch on.
Codes are public API: a code is never renamed and never reused for a second fact. HTTP statuses
are not defined here; `http/errors.py` maps the kinds to them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from authserve.core.levels import Level


class AuthserveError(Exception):
    """A refusal or failure that the service reports to the caller.

    Args:
        detail: the sentence that the caller receives; the class's default if None. It never
            holds a library's or a database's message; that goes to the log, as `__cause__`.
        members: what the caller receives besides: members of the problem (RFC 9457 §3.2), in
            values that JSON has.
    """

    code: ClassVar[str]
    default_detail: ClassVar[str]
    example_members: ClassVar[Mapping[str, Any]] = {}
    """Members as the OpenAPI document shows them."""

    def __init__(
        self, detail: str | None = None, *, members: Mapping[str, Any] | None = None
    ) -> None:
        self.detail = detail or self.default_detail
        self.members = dict(members or {})
        super().__init__(self.detail)


class MalformedRequestError(AuthserveError):
    """A request that cannot be read at all."""

    code = "malformed_request"
    default_detail = "The request could not be read."


class PayloadTooLargeError(AuthserveError):
    """A body that is larger than any endpoint needs."""

    code = "payload_too_large"
    default_detail = "The body is larger than 64 KiB."


class UnsupportedMediaTypeError(AuthserveError):
    """A body in a format that the endpoint does not read."""

    code = "unsupported_media_type"
    default_detail = "Send the body as application/json in UTF-8."


class ValidationFailedError(AuthserveError):
    """A request with readable but unacceptable fields.

    Args:
        errors: field name to messages, for example `{"email": ["Not a valid address."]}`.
    """

    code = "validation_failed"
    default_detail = "Some fields are not acceptable."
    example_members: ClassVar[Mapping[str, Any]] = {
        "errors": {"favourite_colour": ["Unknown field."]}
    }

    def __init__(self, errors: Mapping[str, list[str]], detail: str | None = None) -> None:
        self.errors = dict(errors)
        super().__init__(detail, members={"errors": self.errors} if errors else None)


class UnauthenticatedError(AuthserveError):
    """A call without a valid proof of the caller's identity.

    `challenge` is the parameter list of the `WWW-Authenticate: Bearer` header (RFC 6750 §3).
    """

    challenge: str = 'error="invalid_token"'


class AuthenticationRequiredError(UnauthenticatedError):
    """A call without the access token that it needs.

    Without credentials, the challenge carries no error code (RFC 6750 §3.1).
    """

    code = "authentication_required"
    default_detail = "Send an access token: Authorization: Bearer <token>."
    challenge = ""


class InvalidTokenError(UnauthenticatedError):
    """A token that is malformed, unsigned, signed by another party, or of another kind."""

    code = "invalid_token"
    default_detail = "The token is not valid."


class TokenExpiredError(UnauthenticatedError):
    """A token that has expired, or whose session has expired."""

    code = "token_expired"
    default_detail = "The token has expired."


class SessionRevokedError(UnauthenticatedError):
    """A session revoked by logout, an administrator, a new password, or reuse of a token."""

    code = "session_revoked"
    default_detail = "The session has ended. Sign in again."


class ReauthenticationRequiredError(UnauthenticatedError):
    """A call that needs a password entered within the last `max_age_secs` (RFC 9470 §3)."""

    code = "reauthentication_required"
    default_detail = "Confirm your password first: POST /api/v1/auth/reauthenticate."

    def __init__(self, *, max_age_secs: int) -> None:
        super().__init__()
        self.challenge = f'error="insufficient_user_authentication", max_age={max_age_secs}'


class StepUpRequiredError(UnauthenticatedError):
    """A call that needs a second factor which its session has not proven (RFC 9470 §3).

    Args:
        level: the level that is needed.
    """

    code = "step_up_required"
    default_detail = "This needs a second factor: sign in again, or reauthenticate with one."

    def __init__(self, *, level: Level = Level.AAL2) -> None:
        super().__init__()
        self.challenge = f'error="insufficient_user_authentication", acr_values="{level.acr}"'

    def allow_age(self, *, max_age_secs: int) -> None:
        """Ask for a recent proof too, given within `max_age_secs` seconds."""
        self.challenge += f", max_age={max_age_secs}"


class ForbiddenError(AuthserveError):
    """A call that its identified caller may not make."""


class InsufficientPermissionsError(ForbiddenError):
    """A call that needs a permission which the caller lacks."""

    code = "insufficient_permissions"
    default_detail = "You do not have the permission that this needs."


class InsufficientScopeError(ForbiddenError):
    """A call that is not open to an app, a machine or an API key with these scopes.

    `challenge` is that of RFC 6750 §3.1.
    """

    code = "insufficient_scope"
    default_detail = "No scope of this token or key opens the call."
    challenge = 'error="insufficient_scope"'


class NotFoundError(AuthserveError):
    """A resource that does not exist, or whose existence the caller may not learn."""

    code = "not_found"
    default_detail = "There is no such resource."


class ConflictError(AuthserveError):
    """A valid request that conflicts with the current state."""


class InvalidTokenForUseError(AuthserveError):
    """A one-time token that is unknown, used, superseded or expired."""

    code = "invalid_or_expired_token"
    default_detail = "This link is not valid any more. Ask for a new one."


class RetryableError(AuthserveError):
    """A refusal of a request that may succeed later.

    Args:
        retry_after_secs: whole seconds until the client should retry; if None, the HTTP layer
            chooses.
    """

    def __init__(self, detail: str | None = None, *, retry_after_secs: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_secs = retry_after_secs


class ThrottledError(RetryableError):
    """A call that the caller makes too often."""


class UnavailableError(RetryableError):
    """A service, or a dependency of it, that cannot answer now."""

    code = "service_unavailable"
    default_detail = "The service cannot answer at the moment. Try again shortly."
