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
    """Flask-JWT-Extended with its decoding replaced, and nothing else.

    The library parses a token four times and accepts one without `exp` or `type`. Its one hook
    that decodes is overridden, so that `flask_jwt_extended.decode_token` and `jwt_required` mean
    the verification of `auth/tokens.py`: once, with a ready key and every claim required. The
    hook is private: the version is pinned and a test fails the day it moves.
    """

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        return self.decoder(encoded_token, allow_expired)

    decoder: Callable[[str, bool], dict[str, Any]]
    """Verifies an access token, expired ones if told so; `auth.tokens` puts itself here."""


class ViewLimiter(Limiter):
    """Flask-Limiter for the views that have limits, without its hooks around every request.

    Those hooks are a quarter of what a look at the own account calls, to find that it has no
    limit; so they go on an application that serves nothing. What else they do, `http/limits.py`
    does for limited views alone.
    """

    def init_app(self, app: Flask) -> None:
        """Make it ready; which storage counts, each application says (`ratelimit.storage`)."""
        super().init_app(Flask(app.import_name))


limiter = ViewLimiter(get_remote_address, storage_uri="current:", strategy="fixed-window")
"""Each limit brings a key of its own (`http/limits.py`); the one here is required, not used."""
jwt = TokenManager()
