"""A reverse proxy that guards an application, and Alice's browser in front of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import insert
from werkzeug.test import TestResponse

from authserve.auth.browser_sessions import BrowserCookie
from authserve.clients.configuration import PROXY_SCOPES, ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import register_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.database.transactions import transaction
from authserve.rbac.models import Role, UserRole
from authserve.web.browser_session import write_cookie
from tests.support.clients import Caller
from tests.support.rows import change_session

ORIGIN = "https://files.example.com"

FILES = ClientConfiguration(
    name="Files",
    kind=ClientKind.PROXY,
    first_party=True,
    origins=(ORIGIN,),
    scopes=PROXY_SCOPES,
)

APP, FLOW = "__Host-authserve-app", "__Host-authserve-app-flow"

PAGE = {"Sec-Fetch-Mode": "navigate"}
PROGRAM = {"Sec-Fetch-Mode": "cors"}


@dataclass
class Browser:
    """A browser that is signed in at the service, and its cookies at the application's host.

    Args:
        peer: the address of the proxy.
    """

    app: Flask
    own_cookie: str
    origin: str = ORIGIN
    peer: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)

    def through_proxy(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET", **more: Any
    ) -> TestResponse:
        """Send a request about the application as its proxy does, and keep the cookies."""
        address = urlsplit(self.origin)
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        forwarded = {"X-Forwarded-Proto": address.scheme, "X-Forwarded-Host": address.netloc}
        answer = self.app.test_client(use_cookies=False).open(
            path,
            method=method,
            headers={**forwarded, **({"Cookie": jar} if jar else {}), **(headers or {})},
            environ_overrides={"REMOTE_ADDR": self.peer},
            **more,
        )
        for line in answer.headers.getlist("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer

    def ask(self, path: str = "/", **headers: str) -> TestResponse:
        """Ask as the proxy does for a page of the application."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        forwarded = {"X-Forwarded-Uri": path, "X-Forwarded-Method": "GET"}
        return self.through_proxy("/forward-auth", {**forwarded, **PAGE, **named})

    def authorize(self, location: str) -> str:
        """Follow the way to authorize; return path and query at the application's host."""
        headers = {"Cookie": f"authserve={self.own_cookie}"} if self.own_cookie else {}
        path = location.removeprefix("http://localhost:8000")
        answer = self.app.test_client(use_cookies=False).get(path, headers=headers)
        assert answer.status_code == 303, answer.text
        target = answer.headers["Location"]
        assert target.startswith(f"{self.origin}/.authserve/callback?")
        return target.removeprefix(self.origin)

    def sign_in(self, path: str = "/") -> TestResponse:
        """Open a page of the application and go all the way; return the callback's answer."""
        return self.through_proxy(self.authorize(self.ask(path).headers["Location"]))


def make_browser(app: Flask, caller: Caller) -> Browser:
    """Make a caller's session that of a browser."""
    secret = bytes(range(32))
    change_session(app, caller.session_id, kind="browser", cookie_digest=digest(secret))
    return Browser(app, write_cookie(BrowserCookie(caller.session_id, secret)))


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with forward authentication."""
    return make_app(features=("pages", "oidc", "forward-auth"))


def give_roles(app: Flask, caller: Caller, *roles: str) -> None:
    """Make roles that hold nothing, and give them to a caller beside that of every user."""
    with app.app_context(), transaction() as session:
        for role in roles:
            times = {"created_at": now(), "updated_at": now()}
            session.execute(insert(Role).values(name=role, **times))
            session.execute(insert(UserRole).values(user_id=caller.id, role_name=role))


Register = Callable[..., None]


@pytest.fixture
def register(app: Flask) -> Register:
    """Register proxied applications."""

    def register(client_id: str = "files", **changes: Any) -> None:
        with app.app_context():
            configuration = replace(FILES, **changes)
            register_client(client_id, configuration, actor=OPERATOR, request=RequestInfo())

    return register


@pytest.fixture
def browser(app: Flask, alice: Caller) -> Browser:
    """Alice's browser."""
    return make_browser(app, alice)


@pytest.fixture
def files(register: Register, browser: Browser) -> Browser:
    """Alice's browser, signed in to an application behind a proxy."""
    register()
    assert browser.sign_in().status_code == 303
    return browser
