"""The public key set."""

import json

from flask import Flask
from flask.testing import FlaskClient

from tests.support.clients import Caller, register_caller
from tests.support.keys import claims_of, jwks, make_next_key

PATH = "/.well-known/jwks.json"


def test_it_answers_every_client_and_may_be_cached_for_five_minutes(client: FlaskClient) -> None:
    response = client.get(PATH)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert response.headers["Content-Type"] == "application/json"
    assert list(response.get_json()) == ["keys"]


def test_every_key_has_the_public_members_and_no_other(app: Flask) -> None:
    jwks(app)
    make_next_key(app)
    with app.app_context():
        keys = jwks(app)
    for key in keys:
        assert sorted(key) == ["alg", "crv", "kid", "kty", "use", "x", "y"]
        assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
        # 32 bytes each in base64url without padding (RFC 7518 §6.2.1.2).
        assert (len(key["x"]), len(key["y"])) == (43, 43)
        # 128 bits of the key's digest.
        assert len(key["kid"]) == 22


def test_it_verifies_an_access_token_elsewhere(app: Flask, alice: Caller) -> None:
    assert claims_of(app, alice.tokens["access_token"])["sub"] == str(alice.id)


def test_another_method_is_refused(client: FlaskClient) -> None:
    refused = client.post(PATH)
    assert (refused.status_code, refused.get_json()["code"]) == (405, "method_not_allowed")


def test_no_secret_is_in_it(app: Flask) -> None:
    register_caller(app, "alice")
    told = json.dumps(jwks(app))
    assert '"d"' not in told
    assert "PRIVATE" not in told
