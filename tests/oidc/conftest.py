"""An identity provider with one app and one signed-in user."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.app import create_app
from authserve.clients.client_secrets import add_secret
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import AuthMethod, ClientKind
from authserve.clients.registry import register_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import random_bytes
from authserve.core.levels import Level
from authserve.database.transactions import db, transaction
from authserve.oidc.authorize_request import AuthorizeRequest
from authserve.oidc.codes import issue_code
from authserve.oidc.errors import ReturnTarget
from authserve.oidc.redeem import make_challenge
from authserve.sessions.policy import Authentication
from tests.conftest import make_settings
from tests.oidc.suite import Suite
from tests.support.clients import Caller
from tests.support.rows import change_session, live_session_row
from tests.support.site import running_site

CALLBACK = "https://wiki.example.com/callback"

API = "https://api.example.com"

WIKI = ClientConfiguration(
    name="Wiki",
    kind=ClientKind.WEB,
    first_party=True,
    redirect_uris=(CALLBACK,),
    scopes=("openid", "profile", "email", "groups", "offline_access", "users:read"),
    resources=(API,),
)

VERIFIER = "a verifier of the app, of 43 characters or more"


@dataclass
class App:
    """A registered app whose user has a browser's session.

    Args:
        secret: None for an app that can keep none.
    """

    app: Flask
    client_id: str
    user_id: UUID
    browser_id: UUID
    secret: str | None
    headers: dict[str, str] = field(default_factory=dict)

    def make_code(self, *scopes: str, **changes: Any) -> str:
        """Return a code as authorize issues it."""
        browser = live_session_row(self.app, self.browser_id)
        target = ReturnTarget(redirect_uri=CALLBACK, state=None, response_mode="query")
        request = AuthorizeRequest(
            client_id=self.client_id,
            target=target,
            scopes=scopes or ("openid",),
            dropped_scopes=(),
            nonce="a nonce",
            code_challenge=make_challenge(VERIFIER),
            prompts=frozenset(),
            max_age_secs=None,
            login_hint=None,
            id_token_hint=None,
            levels=(),
            resource=None,
            begun=now(),
        )
        request = replace(request, **changes)
        with self.app.app_context(), transaction():
            return issue_code(
                request,
                scopes=request.scopes,
                user_id=self.user_id,
                parent_id=self.browser_id,
                authentication=Authentication(
                    level=Level(browser["aal"]),
                    amr=tuple(browser["amr"]),
                    auth_time=browser["auth_time"],
                ),
                now=now(),
            )

    def call(self, **fields: str | None) -> TestResponse:
        """POST to the token endpoint with the client's own credentials; None drops a field."""
        own = {"client_id": self.client_id, "client_secret": self.secret}
        given = {name: value for name, value in {**own, **fields}.items() if value is not None}
        return self.app.test_client().post("/oauth/token", data=given, headers=self.headers)

    def redeem(self, code: str, **fields: str | None) -> TestResponse:
        """Exchange a code."""
        proof = {"code_verifier": VERIFIER, "redirect_uri": CALLBACK}
        return self.call(grant_type="authorization_code", code=code, **{**proof, **fields})

    def refresh(self, token: str, **fields: str | None) -> TestResponse:
        """Exchange a refresh token."""
        return self.call(grant_type="refresh_token", refresh_token=token, **fields)

    def sign_in(self, *scopes: str, **changes: Any) -> dict[str, Any]:
        """Return the first tokens of a new grant."""
        answer = self.redeem(self.make_code(*scopes, **changes))
        assert answer.status_code == 200, answer.get_json()
        tokens: dict[str, Any] = answer.get_json()
        return tokens

    def userinfo(self, access_token: str) -> TestResponse:
        """Ask what the app may know."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.app.test_client().get("/oauth/userinfo", headers=headers)


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token, which is not verified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the identity provider."""
    return make_app(features=("oidc",))


MakeApp = Callable[..., App]


@pytest.fixture
def make_client(app: Flask, alice: Caller) -> MakeApp:
    """Register apps of Alice, whose session is a browser's."""
    change_session(app, alice.session_id, kind="browser", cookie_digest=random_bytes(32))

    def make(client_id: str = "wiki", **changes: Any) -> App:
        configuration = replace(WIKI, **changes)
        with app.app_context():
            register_client(client_id, configuration, actor=OPERATOR, request=RequestInfo())
            secret = None
            if configuration.auth_method is AuthMethod.SECRET:
                secret, _ = add_secret(
                    client_id, expires_in=None, actor=OPERATOR, request=RequestInfo()
                )
        return App(app, client_id, alice.id, alice.session_id, secret)

    return make


@pytest.fixture
def wiki(make_client: MakeApp) -> App:
    """An app of the operator with a server."""
    return make_client()


@pytest.fixture(scope="module")
def suite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The conformance client, whose user has signed in once."""
    folder = tmp_path_factory.mktemp("site")
    with running_site(sqlite_template, folder, FEATURES="pages,oidc") as site:
        url = site.environ["DATABASE_URL"]
        app = create_app(make_settings(url, folder, public_url=site.url))
        suite = Suite(site, app)
        suite.authorize()
        yield suite
        with app.app_context():
            db.engine.dispose()
