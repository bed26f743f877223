"""Callbacks that give Flask-JWT-Extended's `jwt_required` our token check and our refusals.

The service's own views use the decorators of `authentication.py`. Without these callbacks,
`jwt_required` would need no live session, and answer a malformed token with 422 in its own form.
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
from authserve.http.authentication import authenticate
from authserve.http.errors import refuse
from authserve.http.freshness import reauthentication_required


def wire_callbacks(manager: JWTManager) -> None:
    """Make `jwt_required` check and refuse like `login_required`."""
    manager.token_in_blocklist_loader(_is_in_blocklist)
    manager.needs_fresh_token_loader(lambda *_arguments: refuse(reauthentication_required()))
    manager.unauthorized_loader(_refusing(AuthenticationRequiredError))
    manager.expired_token_loader(_refusing(TokenExpiredError))
    manager.revoked_token_loader(_refusing(SessionRevokedError))
    for loader in (
        manager.invalid_token_loader,
        manager.token_verification_failed_loader,
        manager.user_lookup_error_loader,
    ):
        loader(_refusing(InvalidTokenError))


def _is_in_blocklist(*_arguments: Any) -> bool:
    """Run our token check, and return False; an ended session raises its own error.

    Raises:
        UnauthenticatedError: see `authenticate`.
    """
    authenticate()
    return False


def _refusing(error: type[UnauthenticatedError]) -> Any:
    """Return a callback that answers with `error` and ignores the library's own message."""

    def callback(*_arguments: Any) -> Response:
        return refuse(error())

    return callback
