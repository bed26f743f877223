"""The Flask extensions, unbound; `app.py` binds them to an application."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from authserve.database.transactions import db

__all__ = ["TokenManager", "ViewLimiter", "db", "jwt", "limiter"]


class TokenManager(JWTManager):
    """Flask-JWT-Extended with only its decoding replaced.

    The library parses a token four times and accepts one without `exp` or `type`. Its decoding
    hook is overridden, so `flask_jwt_extended.decode_token` and `jwt_required` use the
    verification of `auth/tokens.py`: it parses once, with a prepared key, and requires every
    claim. The hook is private: the version is pinned, and a test fails if the hook moves.
    """

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        return self.decoder(encoded_token, allow_expired)

    decoder: Callable[[str, bool], dict[str, Any]]
    """The function that verifies an access token; `auth.tokens` sets it.

    Its second argument is True to accept an expired token."""


class ViewLimiter(Limiter):
    """Flask-Limiter for limited views only, without its hooks around every request.

    On `GET /users/me`, which has no limit, the hooks make a quarter of all function calls, so they
    are installed on an application that serves no requests. `http/limits.py` does their other work
    for limited views.
    """

    def init_app(self, app: Flask) -> None:
        """Initialize the limiter; each application has its own storage (`ratelimit.storage`)."""
        super().init_app(Flask(app.import_name))


limiter = ViewLimiter(get_remote_address, storage_uri="current:", strategy="fixed-window")
"""The limiter of all views. Flask-Limiter requires the key function, but it is never used: each
limit has its own (`http/limits.py`)."""
jwt = TokenManager()
