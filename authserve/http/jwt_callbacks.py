"""Views guarded by Flask-JWT-Extended's own `jwt_required`: the same check, the same refusals.

The service's decorators are those of `authentication.py`. The library's would ask for no live
session, and answer garbage with 422 in a form of its own.
"""

from typing import Any

from flask import Response
from flask_jwt_extended import JWTManager

from authserve.core.errors import (
    AuthenticationRequiredError,
    InvalidTokenError,
    SessionRevokedError,
    TokenExpiredError,
    UnauthenticatedError,
)
from authserve.http.authentication import authenticate, reauthentication_required
from authserve.http.errors import refuse


def wire_callbacks(manager: JWTManager) -> None:
    """Make `jwt_required` ask what `login_required` asks, and refuse as it refuses."""
    manager.token_in_blocklist_loader(_is_in_blocklist)
    manager.needs_fresh_token_loader(lambda *_told: refuse(reauthentication_required()))
    manager.unauthorized_loader(_refusing(AuthenticationRequiredError))
    manager.expired_token_loader(_refusing(TokenExpiredError))
    manager.revoked_token_loader(_refusing(SessionRevokedError))
    for loader in (
        manager.invalid_token_loader,
        manager.token_verification_failed_loader,
        manager.user_lookup_error_loader,
    ):
        loader(_refusing(InvalidTokenError))


def _is_in_blocklist(*_told: Any) -> bool:
    """Never: a session that has ended is refused in its own words.

    Raises:
        UnauthenticatedError: see `authenticate`.
    """
    authenticate()
    return False


def _refusing(error: type[UnauthenticatedError]) -> Any:
    """A callback that answers with `error`, whatever the library says of the token."""

    def callback(*_told: Any) -> Response:
        return refuse(error())

    return callback
