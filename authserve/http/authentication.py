"""Who calls: the bearer token of a request, and the decorators that ask for one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import g, request

from authserve.core.actor import VISITOR, Actor
from authserve.core.clock import now
from authserve.core.container import component
from authserve.core.errors import (
    AuthenticationRequiredError,
    AuthserveError,
    InsufficientPermissionsError,
    InvalidTokenError,
    MalformedRequestError,
    ReauthenticationRequiredError,
    SessionRevokedError,
    TokenExpiredError,
)
from authserve.http.openapi import ACCESS_TOKEN, NO_TOKEN, Blueprint, Requirement, secured_by
from authserve.settings.model import get_settings

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

MAX_TOKEN_LENGTH = 7_168
"""More is refused before it costs anything. A token that names 50 roles of 64 letters has 5,122
(measured), and servers take 8 KiB for the whole field (ASVS 4.2.5)."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """What an access token proves at this moment.

    Args:
        actor: who calls, with what permissions.
        account: the columns of the caller's account, as the token check read them.
        claims: the token's own claims.
    """

    actor: Actor
    account: Any
    claims: Mapping[str, Any]


Authenticator = Callable[[str], Authentication]

AUTHENTICATOR_EXTENSION = "authserve.authenticator"


def bearer_token() -> str | None:
    """The token of the `Authorization` header, or None without one.

    Raises:
        AuthenticationRequiredError: another scheme.
        InvalidTokenError: no single token after the scheme, or a monstrous one.
    """
    header: str | None = request.environ.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":  # Case-insensitive: RFC 9110 §11.1.
        raise AuthenticationRequiredError
    token = token.strip()
    if not token or " " in token or len(token) > MAX_TOKEN_LENGTH:
        raise InvalidTokenError
    return token


def one_token(in_body: str | None) -> str:
    """The one token of a call that takes it in the body or as bearer.

    Raises:
        AuthenticationRequiredError: there is none.
        MalformedRequestError: there are two; nobody could say which is meant.
    """
    token = bearer_token()
    if token is not None and in_body is not None:
        raise MalformedRequestError("Send the token in the body or as bearer, not both.")
    if token is None and in_body is None:
        raise AuthenticationRequiredError
    return token or in_body or ""


def authenticate() -> Authentication:
    """Verify the caller's access token, once a request however many decorators ask.

    Raises:
        UnauthenticatedError: there is none, or it is not good (any more).
    """
    authentication = cast("Authentication | None", g.authentication)
    if authentication is None:
        token = bearer_token()
        if token is None:
            raise AuthenticationRequiredError
        authenticator = cast(Authenticator, component(AUTHENTICATOR_EXTENSION))
        g.authentication = authentication = authenticator(token)
        g.user_id = authentication.claims["sub"]
    return authentication


def optional_actor() -> Actor:
    """The caller if an access token came along, which then has to be good; else a visitor.

    The view that asks is `login_optional`.
    """
    return VISITOR if bearer_token() is None else authenticate().actor


def current_authentication() -> Authentication:
    """What `login_required` found out."""
    return cast(Authentication, g.authentication)


def current_actor() -> Actor:
    """The caller, as services take it."""
    return current_authentication().actor


def login_required(view: ViewT) -> ViewT:
    """Let only callers with a good access token in."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        authenticate()
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, AuthenticationRequiredError))


def login_optional(view: ViewT) -> ViewT:
    """Let everybody in; a token that comes along has to be good (`optional_actor`)."""
    requirements = (NO_TOKEN, ACCESS_TOKEN)
    return cast(ViewT, _documented(view, AuthenticationRequiredError, requirements=requirements))


def require_fresh() -> None:
    """Refuse an access token that is not fresh (ASVS 7.5.1).

    Freshness is what the token's `fresh` claim says: the time until which it lasts.

    Raises:
        ReauthenticationRequiredError: it is over, or the token was refreshed.
    """
    fresh_until = authenticate().claims["fresh"]
    if fresh_until is False or now().timestamp() >= fresh_until:
        raise reauthentication_required()


def fresh_login_required(view: ViewT) -> ViewT:
    """Let only callers in who gave their password within the last minutes."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        require_fresh()
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, *_FRESH_ERRORS))


def fresh_login_required_where(
    is_sensitive: Callable[[Mapping[str, Any]], bool],
) -> Callable[[ViewT], ViewT]:
    """Ask for a fresh token where a part of the body is sensitive; put it next to the view.

    Args:
        is_sensitive: a decision about the validated body.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(body: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            if is_sensitive(body):
                require_fresh()
            return view(body, *args, **kwargs)

        return cast(ViewT, _documented(guarded, *_FRESH_ERRORS))

    return decorator


_FRESH_ERRORS = (AuthenticationRequiredError, ReauthenticationRequiredError)


def reauthentication_required() -> ReauthenticationRequiredError:
    """The refusal of a token that is not fresh, with the age that would be (RFC 9470 §3)."""
    max_age_secs = int(get_settings().fresh_ttl.total_seconds())
    return ReauthenticationRequiredError(max_age_secs=max_age_secs)


def on_own_account(gone: type[AuthserveError]) -> Callable[[ViewT], ViewT]:
    """Answer as the token check would have when the caller's account vanishes during the call.

    Args:
        gone: what says so; of the caller's own account it means that the session has ended.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                return view(*args, **kwargs)
            except gone as error:
                raise SessionRevokedError from error

        return cast(ViewT, guarded)

    return decorator


def require_permission(permission: str) -> Callable[[ViewT], ViewT]:
    """Let only callers in who hold `permission` at this moment."""

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not authenticate().actor.has_permission(permission):
                raise InsufficientPermissionsError
            return view(*args, **kwargs)

        errors = (AuthenticationRequiredError, InsufficientPermissionsError)
        return cast(ViewT, _documented(guarded, *errors))

    return decorator


def _documented(
    view: Any, *errors: Any, requirements: tuple[Requirement, ...] = (ACCESS_TOKEN,)
) -> Any:
    token_errors = (InvalidTokenError, TokenExpiredError, SessionRevokedError)
    return secured_by(*requirements)(Blueprint.refuses(*errors, *token_errors)(view))
