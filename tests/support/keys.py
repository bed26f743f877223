"""The signing keys as other services see them."""

from typing import Any

import jwt
from flask import Flask
from jwt import PyJWKSet

from authserve.core.actor import RequestInfo
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import rotate
from tests.support.clients import Caller
from tests.support.crowd import persistently


def jwks(app: Flask) -> list[dict[str, Any]]:
    """Return the public keys, as every client sees them."""
    response = persistently(lambda: app.test_client().get("/.well-known/jwks.json"))
    assert response.status_code == 200
    keys: list[dict[str, Any]] = response.get_json()["keys"]
    return keys


def kids(app: Flask) -> list[str]:
    """The names of the public keys."""
    return [key["kid"] for key in jwks(app)]


def kid_of(token: str) -> str:
    """The name of the key that signed a token."""
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def claims_of(app: Flask, token: str) -> dict[str, Any]:
    """Return a token's claims as another service reads them, by the public keys alone."""
    key = PyJWKSet.from_dict({"keys": jwks(app)})[kid_of(token)]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["ES256"], audience="authserve", issuer="http://localhost:8000"
    )
    return claims


def make_next_key(app: Flask, *, cause: RotationCause = RotationCause.ORDER) -> str:
    """Rotate, and return the new key's name."""
    with app.app_context():
        newest = rotate(cause, request=RequestInfo())
    assert newest.is_new
    return newest.kid


def is_accepted(app: Flask, caller: Caller) -> bool:
    """Return True if `app` accepts the caller's access token; otherwise it must answer 401."""
    headers = {"Authorization": f"Bearer {caller.tokens['access_token']}"}
    response = app.test_client().get("/api/v1/users/me", headers=headers)
    assert response.status_code in (200, 401), response.get_data(as_text=True)
    return response.status_code == 200
