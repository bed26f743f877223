"""Errors of OAuth's form: a code of the specifications, and a sentence for developers.

`AppNotFoundError` alone has the form of the service's own API.
"""

from enum import StrEnum

from authserve.core.errors import NotFoundError
from authserve.core.frozen import frozen


class OAuthCode(StrEnum):
    """Codes of OAuth and OpenID Connect, in answers to apps.

    They are those of RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 6750 §3.1, RFC
    8707 §2, RFC 9470 §3, and OpenID Connect Core Error Code `unmet_authentication_requirements`.
    """

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    INVALID_TOKEN = "invalid_token"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    ACCESS_DENIED = "access_denied"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    INSUFFICIENT_USER_AUTHENTICATION = "insufficient_user_authentication"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    INTERACTION_REQUIRED = "interaction_required"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    UNMET_AUTHENTICATION_REQUIREMENTS = "unmet_authentication_requirements"


@frozen(kw_only=True)
class ReturnTarget:
    """The place to which the answer of an authorization goes: registered, so a redirect is safe.

    Args:
        state: as the app sent it; None if it sent none.
        response_mode: `query` or `form_post`.
    """

    redirect_uri: str
    state: str | None
    response_mode: str


class UntrustedRequestError(Exception):
    """A request that names no known client or no registered address, so it gets a page of ours.

    Args:
        description: a sentence for developers.
        received: the redirect URI, a stranger's text; None if that is not at fault.
    """

    def __init__(self, description: str, *, received: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.received = received


class AuthorizationError(Exception):
    """A refusal that the app gets by redirect.

    Args:
        description: a sentence for developers, in the characters of RFC 6749 §4.1.2.1.
    """

    def __init__(self, code: OAuthCode, description: str, *, target: ReturnTarget) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.target = target


class OAuthError(Exception):
    """A refusal of a call of a program, in the form of RFC 6749 §5.2.

    Args:
        description: a sentence for developers; it holds nothing of the request.
    """

    def __init__(self, code: OAuthCode, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class AppNotFoundError(NotFoundError):
    """The user has neither allowed the app nor is signed in to it."""

    code = "app_not_found"
    default_detail = "You have given no access to such an app."


def invalid_client() -> OAuthError:
    """Return the one refusal of a client: unknown, disabled, or not proven."""
    return OAuthError(OAuthCode.INVALID_CLIENT, "The client is unknown, or was not authenticated.")


def invalid_grant() -> OAuthError:
    """Return the one refusal of a code or refresh token."""
    return OAuthError(
        OAuthCode.INVALID_GRANT, "The code or refresh token is not valid, or not valid any more."
    )
