"""The Flask extensions, unbound; `app.py` binds them to an application."""

from collections.abc import Callable
from typing import Any

from flask_jwt_extended import JWTManager

from authserve.database.transactions import db

__all__ = ["TokenManager", "db", "jwt"]


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


jwt = TokenManager()
