"""The decorators of views that require an authenticated caller.

`callers.py` finds the caller, and `freshness.py` checks how recent its proof is. A call with a
permission is open to every kind of caller that has it; any other is open to signed-in users alone,
unless `open_to_scope` names a scope for it.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from authserve.core.actor import VISITOR, Actor
from authserve.core.errors import (
    AuthenticationRequiredError,
    InsufficientPermissionsError,
    InsufficientScopeError,
    InvalidTokenError,
    ReauthenticationRequiredError,
    SessionRevokedError,
    StepUpRequiredError,
    TokenExpiredError,
)
from authserve.core.levels import Level
from authserve.http.callers import Authentication, CallerKind, bearer_token, identify_caller
from authserve.http.freshness import asking_for_freshness, require_fresh, require_session_level
from authserve.http.openapi import (
    ACCESS_TOKEN,
    NO_TOKEN,
    Blueprint,
    Requirement,
    facts_of,
    secured_by,
)
from authserve.http.request_info import request_state

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def authenticate(*, scope: str | None = None) -> Authentication:
    """Verify the access token of a user, and that its session has the level its account needs.

    Args:
        scope: one that opens the call to apps and API keys; None for a call that none opens.

    Raises:
        UnauthenticatedError: there is no token, or it is not valid (any more).
        InsufficientScopeError: the caller is no signed-in user, and does not have the scope.
        StepUpRequiredError: the session has not proven the second factor that the account needs.
    """
    found = authenticate_at_any_level(scope=scope)
    _require_level(found)
    return found


def _require_level(found: Authentication) -> None:
    if found.actor.level < found.need:
        raise StepUpRequiredError(level=found.need)


def authenticate_at_any_level(*, scope: str | None = None) -> Authentication:
    """Verify the access token of a user.

    Args:
        scope: see `authenticate`.

    Raises:
        UnauthenticatedError, InsufficientScopeError: see `authenticate`.
    """
    found = identify_caller()
    if found.kind is not CallerKind.USER and (scope is None or scope not in found.scopes):
        raise InsufficientScopeError
    return found


def optional_actor() -> Actor:
    """Return the user if the request has an access token, else a visitor.

    An invalid token is refused, and so is one of an app or a machine. Views that call this have the
    decorator `login_optional`.
    """
    return VISITOR if bearer_token() is None else authenticate().actor


def current_authentication() -> Authentication:
    """Return the caller of a view that has one of the decorators below."""
    return cast(Authentication, request_state().authentication)


def current_actor() -> Actor:
    """Return the caller, as use cases take it."""
    return current_authentication().actor


def login_required(view: ViewT) -> ViewT:
    """Require a valid access token of a user, or of a caller with the view's scope."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with asking_for_freshness(view):
            authenticate(scope=facts_of(view).scope)
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, *_LOGIN_ERRORS, StepUpRequiredError))


def login_at_any_level_required(view: ViewT) -> ViewT:
    """Require a token like `login_required`, even of a session below what its account needs.

    Such a user must be able to sign out, to step up and to set up a factor.
    """

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        authenticate_at_any_level(scope=facts_of(view).scope)
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, *_LOGIN_ERRORS))


def login_optional(view: ViewT) -> ViewT:
    """Document that a view needs no access token; `optional_actor` refuses an invalid one."""
    errors = (*_LOGIN_ERRORS, StepUpRequiredError)
    return cast(ViewT, _documented(view, *errors, requirements=(NO_TOKEN, ACCESS_TOKEN)))


def fresh_login_required(view: ViewT) -> ViewT:
    """Require a fresh access token of a user, who gave the password within the last minutes."""
    return login_required(fresh_token_required(view))


def fresh_token_required(view: ViewT) -> ViewT:
    """Require a fresh access token of a user's session; put it below `require_permission`."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        require_fresh()
        return view(*args, **kwargs)

    return cast(ViewT, _documented(guarded, *_FRESH_ERRORS))


def fresh_login_at_level_required(
    level_of: Callable[[Actor], Level],
) -> Callable[[ViewT], ViewT]:
    """Require a fresh access token of a user's session with the level that `level_of` returns.

    The level that the account needs is not required; `login_required` above it does that.
    """

    def decorator(view: ViewT) -> ViewT:
        return login_at_any_level_required(fresh_token_at_level_required(level_of)(view))

    return decorator


def fresh_token_at_level_required(
    level_of: Callable[[Actor], Level],
) -> Callable[[ViewT], ViewT]:
    """Require what `fresh_login_at_level_required` does, below `require_permission`.

    A machine has no level, as it has no session.
    """

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            caller = identify_caller()
            if caller.kind in (CallerKind.USER, CallerKind.APP):
                require_session_level(level_of(caller.actor), caller.actor)
            require_fresh()
            return view(*args, **kwargs)

        return cast(ViewT, _documented(guarded, *_FRESH_ERRORS, StepUpRequiredError))

    return decorator


def closed_to_api_keys(view: ViewT) -> ViewT:
    """Refuse API keys with any permissions; put it below `require_permission`."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if identify_caller().kind is CallerKind.API_KEY:
            raise InsufficientScopeError
        return view(*args, **kwargs)

    return cast(ViewT, Blueprint.refuses(InsufficientScopeError)(guarded))


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


_LOGIN_ERRORS = (AuthenticationRequiredError, InsufficientScopeError)
_FRESH_ERRORS = (*_LOGIN_ERRORS, ReauthenticationRequiredError)


def require_permission(permission: str) -> Callable[[ViewT], ViewT]:
    """Require that the caller, of any kind, has `permission` now.

    A caller without it gets that error first, not a demand for a second factor or a fresh token.
    """
    wanted = frozenset({permission})

    def decorator(view: ViewT) -> ViewT:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with asking_for_freshness(view):
                caller = identify_caller()
                caller.actor.require_permissions(wanted)
                _require_level(caller)
            return view(*args, **kwargs)

        errors = (AuthenticationRequiredError, InsufficientPermissionsError, StepUpRequiredError)
        return cast(ViewT, _documented(guarded, *errors))

    return decorator


def _documented(
    view: Any, *errors: Any, requirements: tuple[Requirement, ...] = (ACCESS_TOKEN,)
) -> Any:
    token_errors = (InvalidTokenError, TokenExpiredError, SessionRevokedError)
    return secured_by(*requirements)(Blueprint.refuses(*errors, *token_errors)(view))
