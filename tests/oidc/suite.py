"""A client as the conformance suite of the OpenID Foundation has it, against a running service."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import jwt
import requests
from flask import Flask

from authserve.clients.client_secrets import add_secret
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import register_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.web.browser_session import read_cookie
from tests.support.browsing import Shown
from tests.support.clients import PASSWORD
from tests.support.http_browser import HTTPBrowser
from tests.support.rows import change_session, change_user
from tests.support.site import Site

CALLBACK = "https://suite.example.com/callback"

SECOND_CALLBACK = "https://suite.example.com/callback?dummy1=lorem&dummy2=ipsum"

CLIENT = ClientConfiguration(
    name="Conformance",
    kind=ClientKind.WEB,
    first_party=True,
    redirect_uris=(CALLBACK, SECOND_CALLBACK),
    scopes=("openid", "profile", "email", "offline_access"),
    # The suite's basic plan has no PKCE, and warns about an address in the ID token.
    require_pkce=False,
    id_token_claims="lean",
)


@dataclass
class Result:
    """A finished authorization.

    Args:
        answer: the parameters with which the browser came back.
        tokens: those of the code.
        identity: the verified claims of the ID token.
    """

    answer: dict[str, str]
    tokens: dict[str, Any]
    identity: dict[str, Any]


class Suite:
    """The conformance client, and the browser that its user has signed in with."""

    def __init__(self, site: Site, app: Flask) -> None:
        self.site, self.app = site, app
        body = {"email": "alice@example.com", "username": "alice", "password": PASSWORD}
        self.user = site.client().post("/api/v1/auth/register", json=body).json()
        change_user(app, UUID(self.user["id"]), email_verified=True)
        with app.app_context():
            register_client("suite", CLIENT, actor=OPERATOR, request=RequestInfo())
            secret, _ = add_secret("suite", expires_in=None, actor=OPERATOR, request=RequestInfo())
        self.auth = ("suite", secret)
        self.browser = HTTPBrowser()

    def metadata(self) -> dict[str, Any]:
        """Return the discovery document."""
        answer = self.site.client().get("/.well-known/openid-configuration")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, browser: HTTPBrowser | None = None, **changes: str | None) -> Shown:
        """Send the browser to authorize, and follow to a page or to the way back to the client."""
        url = f"{self.site.url}/oauth/authorize?{urlencode(self.parameters(**changes))}"
        return (browser or self.browser).open(url, until=CALLBACK)

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """Return the parameters of a request; None drops one."""
        given: dict[str, str | None] = {
            "client_id": "suite",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "a state",
            "nonce": "a nonce",
            **changes,
        }
        return {name: value for name, value in given.items() if value is not None}

    def sign_in(self, page: Shown, browser: HTTPBrowser | None = None) -> Shown:
        """Sign in on the page that is shown, and follow to the way back."""
        assert page.title.startswith("Sign in"), page.html
        return (browser or self.browser).sign_in(page, "alice", until=CALLBACK)

    def authorize(self, browser: HTTPBrowser | None = None, **changes: str | None) -> Result:
        """Run an authorization to its end, with a sign-in if there is a page that asks for one."""
        shown = self.ask(browser, **changes)
        if shown.status == 200:
            shown = self.sign_in(shown, browser)
        return self.finish(shown, **changes)

    def finish(self, shown: Shown, **changes: str | None) -> Result:
        """Check the way back, redeem its code, and verify the ID token."""
        answer = self.answer_of(shown)
        asked = self.parameters(**changes)
        assert answer.get("state") == asked.get("state")
        answered = self.redeem(answer["code"], redirect_uri=asked["redirect_uri"])
        assert answered.status_code == 200, answered.text
        assert answered.headers["Cache-Control"] == "no-store"
        tokens = answered.json()
        assert tokens["token_type"] == "Bearer"
        identity = self.verify(tokens["id_token"])
        assert identity.get("nonce") == asked.get("nonce")
        return Result(answer, tokens, identity)

    def answer_of(self, shown: Shown) -> dict[str, str]:
        """Return the parameters with which the browser comes back."""
        assert shown.status == 303, shown.html
        assert shown.location.startswith(CALLBACK)
        answer = dict(parse_qsl(shown.location.partition("?")[2], strict_parsing=True))
        assert answer["iss"] == self.site.url
        return answer

    def call(self, path: str, **options: Any) -> requests.Response:
        """POST as the client's server."""
        return self.site.client().post(path, **options)

    def redeem(self, code: str, *, redirect_uri: str = CALLBACK) -> requests.Response:
        """Exchange a code, authenticated by Basic."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return self.call("/oauth/token", data=fields, auth=self.auth)

    def refresh(self, token: str) -> requests.Response:
        """Exchange a refresh token."""
        fields = {"grant_type": "refresh_token", "refresh_token": token}
        return self.call("/oauth/token", data=fields, auth=self.auth)

    def verify(self, id_token: str) -> dict[str, Any]:
        """Verify an ID token as a client does, by the published keys alone."""
        keys = self.site.client().get("/.well-known/jwks.json").json()
        key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(id_token)["kid"]]
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key,
            algorithms=["ES256"],
            issuer=self.site.url,
            audience="suite",
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        return claims

    def userinfo(self, result: Result, method: str = "GET", **options: Any) -> dict[str, Any]:
        """Return the claims at userinfo; they must be about the user of the ID token."""
        headers = {"Authorization": f"Bearer {result.tokens['access_token']}"}
        answer = self.site.client().request(method, "/oauth/userinfo", headers=headers, **options)
        assert answer.status_code == 200, answer.text
        claims: dict[str, Any] = answer.json()
        assert claims["sub"] == result.identity["sub"] == self.user["id"]
        return claims

    def age_session(self, age: Any) -> None:
        """Make the browser's last proof older, instead of waiting."""
        cookie = read_cookie(self.browser.session.cookies["authserve"])
        assert cookie is not None
        change_session(self.app, cookie.session_id, auth_time=now() - age)


def extra_claims(claims: dict[str, Any]) -> set[str]:
    """Return the names of the claims beside those of the protocol."""
    protocol = ("iss", "aud", "exp", "iat", "nonce", "auth_time", "acr", "amr", "sid", "at_hash")
    return set(claims) - {"sub", *protocol}
