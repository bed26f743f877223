"""Authlib, the client of many Python apps, with nothing configured but the metadata's address."""

import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient

from tests.oidc.suite import CALLBACK, Suite


@pytest.fixture
def app(suite: Suite) -> FlaskClient:
    """A browser's connection to an app, which Authlib signs people in to."""
    app = Flask("app")
    app.secret_key = "a secret of the app alone"
    client_id, secret = suite.auth
    client = OAuth(app).register(
        "authserve",
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=f"{suite.site.url}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile email",
            "code_challenge_method": "S256",
        },
    )

    @app.get("/login")
    def login() -> Response:
        response: Response = client.authorize_redirect(CALLBACK)
        return response

    @app.get("/callback")
    def callback() -> Response:
        token = client.authorize_access_token()
        userinfo = client.userinfo(token=token)
        return jsonify(identity=token["userinfo"], userinfo=userinfo)

    return app.test_client()


def test_it_signs_in_and_asks_userinfo(suite: Suite, app: FlaskClient) -> None:
    led = app.get("/login")
    shown = suite.browser.open(led.location, until=CALLBACK)
    found = app.get("/callback?" + shown.location.partition("?")[2]).get_json()
    assert found["identity"]["sub"] == found["userinfo"]["sub"] == suite.user["id"]
    assert found["identity"]["nonce"]
    assert found["userinfo"]["email"] == "alice@example.com"
