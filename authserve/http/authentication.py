"""Authentication by bearer token, and the decorators that require it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import request

from authserve.core.actor import VISITOR, Actor
from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.core.errors import (
    AuthenticationRequiredError,
    AuthserveError,
    InsufficientPermissionsError,
    InvalidTokenError,
    MalformedRequestError,
    ReauthenticationRequiredError,
    SessionRevokedError,
    StepUpRequiredError,
    TokenExpiredError,
)
from authserve.core.levels import Level, level_named
from authserve.http.openapi import (
    ACCESS_TOKEN,
    NO_TOKEN,
    Blueprint,
    Requirement,
    refusals_of,
    secured_by,
)
from authserve.http.request_info import request_state
from authserve.settings.model import SETTINGS

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

MAX_TOKEN_LENGTH = 7_168
"""Limits a token, in characters; longer ones are refused before any work. A token that names 50
roles of 64 letters has 5,122 (measured), and servers accept 8 KiB for the whole header
(ASVS 4.2.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The caller's account, as the token check read it, with the names of all its roles."""

    id: UUID
    email: str
    email_verified: bool
    username: str | None
    display_name: str | None
    locale: str | None
    is_active: bool
    roles: tuple[str, ...]
    mfa_enabled: bool
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class Authentication:
    """The caller that a valid access token identifies.

    Args:
        actor: the caller, with the current permissions.
        account: the caller's account.
        claims: the token's own claims.
        need: the least level that a session of this account needs.
    """

    actor: Actor
    account: Account
    claims: Mapping[str, Any]
    need: Level


Authenticator = Callable[[str], Authentication]

AUTHENTICATOR = Slot[Authenticator]("authenticator")


def bearer_token() -> str | None:
    """Return the token of the `Authorization` header, or None without the header.

    Raises:
        AuthenticationRequiredError: the scheme is not Bearer.
        InvalidTokenError: not exactly one token after the scheme, or one over `MAX_TOKEN_LENGTH`.
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
    """Return the token of a call that accepts it in the body or as bearer.

    Raises:
        AuthenticationRequiredError: there is no token.
        MalformedRequestError: there are two, and it is unclear which one is meant.
    """
    token = bearer_token()
    if token is not None and in_body is not None:
        raise MalformedRequestError("Send the token in the body or as bearer, not both.")
    if token is None and in_body is None:
        raise AuthenticationRequiredError
    return token or in_body or ""


def authenticate() -> Authentication:
    """Verify the caller's access token, and that its session has the level its account needs.

    Raises:
        UnauthenticatedError: there is no token, or it is not valid (any more).
        StepUpRequiredError: the session has not proven the second factor that the account needs.
    """
    found = authenticate_at_any_level()
    if found.actor.level < found.need:
        raise StepUpRequiredError(level=found.need)
    return found


def authenticate_at_any_level() -> Authentication:
    """Verify the caller's access token; further calls in the same request return the same result.

    Raises:
        UnauthenticatedError: there is no token, or it is not valid (any more).
    """
    state = request_state()
    authentication: Authentication | None = state.authentication
    if authentication is None:
        token = bearer_token()
        if token is None:
            raise AuthenticationRequiredError
        authenticator = AUTHENTICATOR.get()
        state.authentication = authentication = authenticator(token)
        state.user_id = authentication.claims["sub"]
    return authentication


def optional_actor() -> Actor:
    """Return the caller if the request has an access token, else a visitor.

    An invalid token is refused. Views that call this have the decorator `login_optional`.
    """
    return VISITOR if bearer_token() is None else authenticate().actor


def current_authentication() -> Authentication:
    """Return the result of `login_required`."""
    return cast(Authentication, request_state().authentication)


def current_actor() -> Actor:
    """Return the caller, as use cases take it."""
    return current_authentication().actor


def login_required(view: ViewT) -> ViewT:
    """Require a valid access token."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with _asking_for_freshness(view):
            authenticate()
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, AuthenticationRequiredError, StepUpRequiredError))


def login_at_any_level_required(view: ViewT) -> ViewT:
    """Require a valid access token, even of a session below the level that its account needs.

    Such a user must be able to sign out, to step up and to set up a factor.
    """

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        authenticate_at_any_level()
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, AuthenticationRequiredError))


@contextmanager
def _asking_for_freshness(view: Any) -> Iterator[None]:
    """Add the age allowed to a demand for a step-up, if the view needs a fresh token too.

    Otherwise a client would step up only to be asked for a fresh token then.
    """
    try:
        yield
    except StepUpRequiredError as error:
        if ReauthenticationRequiredError in refusals_of(view) and not _is_fresh():
            error.allow_age(max_age_secs=_max_age_secs())
        raise


def login_optional(view: ViewT) -> ViewT:
    """Document that a view needs no access token; `optional_actor` refuses an invalid one."""
    requirements, errors = (NO_TOKEN, ACCESS_TOKEN), (AuthenticationRequiredError,)
    return cast(ViewT, _documented(view, *errors, StepUpRequiredError, requirements=requirements))


def require_fresh() -> None:
    """Refuse an access token that is not fresh (ASVS 7.5.1).

    The token's `fresh` claim is the time until which it is fresh, or False. A token from before its
    session rose is not fresh at the level that the session has now: it stands for less than that.

    Raises:
        ReauthenticationRequiredError: this time is over, the token was refreshed, or its session
            rose after it.
    """
    if not _is_fresh():
        raise reauthentication_required()


def _is_fresh() -> bool:
    caller = authenticate_at_any_level()
    claims = caller.claims
    if level_named(claims.get("acr"), claims["amr"]) < caller.actor.level:
        return False
    return claims["fresh"] is not False and now().timestamp() < claims["fresh"]


def fresh_login_required(view: ViewT) -> ViewT:
    """Require a fresh access token: the caller gave the password within the last minutes."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with _asking_for_freshness(guarded):
            authenticate()
        require_fresh()
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, *_FRESH_ERRORS, StepUpRequiredError))


def fresh_login_at_level_required(
    level_of: Callable[[Actor], Level],
) -> Callable[[ViewT], ViewT]:
    """Require a fresh access token of a session with the level that `level_of` returns.

    The level that the account needs is not required; `login_required` above it does that.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            actor = authenticate_at_any_level().actor
            needed = level_of(actor)
            if actor.level < needed:
                error = StepUpRequiredError(level=needed)
                if not _is_fresh():
                    error.allow_age(max_age_secs=_max_age_secs())
                raise error
            require_fresh()
            return view(*args, **kwargs)

        return cast(ViewT, _documented(guarded, *_FRESH_ERRORS, StepUpRequiredError))

    return decorator


def fresh_login_required_where(
    is_sensitive: Callable[[Mapping[str, Any]], bool],
) -> Callable[[ViewT], ViewT]:
    """Require a fresh access token if the body is sensitive; put it next to the view.

    Args:
        is_sensitive: returns True if the validated body needs a fresh token.
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
    """Return the error for a token that is not fresh, with the age allowed (RFC 9470 §3)."""
    return ReauthenticationRequiredError(max_age_secs=_max_age_secs())


def _max_age_secs() -> int:
    return int(SETTINGS.get().fresh_ttl.total_seconds())


def on_own_account(gone: type[AuthserveError]) -> Callable[[ViewT], ViewT]:
    """Raise `SessionRevokedError` if the caller's own account is deleted during the call.

    The token check would have raised the same error if the account had been deleted before.

    Args:
        gone: the error that the view raises for a missing account.
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
    """Require that the caller has `permission` now.

    A caller who lacks it is told so before a second factor or a fresh token is asked for.
    """
    wanted = frozenset({permission})

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with _asking_for_freshness(view):
                authenticate_at_any_level().actor.require_permissions(wanted)
                authenticate()
            return view(*args, **kwargs)

        errors = (AuthenticationRequiredError, InsufficientPermissionsError, StepUpRequiredError)
        return cast(ViewT, _documented(guarded, *errors))

    return decorator


def _documented(
    view: Any, *errors: Any, requirements: tuple[Requirement, ...] = (ACCESS_TOKEN,)
) -> Any:
    token_errors = (InvalidTokenError, TokenExpiredError, SessionRevokedError)
    return secured_by(*requirements)(Blueprint.refuses(*errors, *token_errors)(view))
