"""Calls of apps in browsers, by pages of their own origins."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.clients import spa_origins
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import change_client, delete_client
from authserve.clients.spa_origins import CACHE_SECS, origin_of
from authserve.core.actor import OPERATOR, RequestInfo
from tests.support.oauth_clients import give_client

SPA = "https://spa.example.com"

PATHS = ("/oauth/token", "/oauth/revoke", "/oauth/userinfo")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with an app in a browser, and one with a server."""
    app = make_app(features=("oidc",))
    give_client(app, "spa", kind=ClientKind.SPA, redirect_uris=(f"{SPA}/callback",))
    give_client(app)
    return app


def preflight(app: Flask, path: str, origin: str) -> TestResponse:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return app.test_client().options(path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_an_app_may_call_and_read_the_answer(app: Flask, path: str) -> None:
    asked = preflight(app, path, SPA)
    assert asked.status_code == 204
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    answer = app.test_client().post(path, headers={"Origin": SPA})
    for response in (asked, answer):
        assert response.headers["Access-Control-Allow-Origin"] == SPA
        assert "Origin" in response.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_page_of_an_app_may_read_the_keys(app: Flask) -> None:
    answer = app.test_client().get("/.well-known/jwks.json", headers={"Origin": SPA})
    assert answer.headers["Access-Control-Allow-Origin"] == SPA


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://wiki.example.com"}])
def test_a_cache_keeps_the_keys_by_origin(app: Flask, headers: dict[str, str]) -> None:
    """Else it would serve to a page what another caller got, and the page could not read it."""
    answer = app.test_client().get("/.well-known/jwks.json", headers=headers)
    assert answer.headers["Cache-Control"].startswith("public")
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://wiki.example.com", "null", f"{SPA}.evil.example"])
def test_no_other_page_may(app: Flask, origin: str) -> None:
    assert preflight(app, "/oauth/token", origin).status_code == 405
    answer = app.test_client().post("/oauth/token", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_no_other_call_is_open_to_the_page(app: Flask) -> None:
    for path in ("/oauth/authorize", "/api/v1/auth/login"):
        answer = app.test_client().post(path, headers={"Origin": SPA})
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("is_deleted", [False, True], ids=["disabled", "deleted"])
def test_a_disabled_app_loses_it_when_the_list_is_read_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    moment = 1_000.0
    monkeypatch.setattr(spa_origins.time, "monotonic", lambda: moment)
    assert preflight(app, "/oauth/token", SPA).status_code == 204
    with app.app_context():
        who = {"actor": OPERATOR, "request": RequestInfo()}
        if is_deleted:
            delete_client("spa", **who)  # type: ignore[arg-type]
        else:
            change_client("spa", {"enabled": False}, **who)  # type: ignore[arg-type]
    moment += CACHE_SECS - 0.1
    assert preflight(app, "/oauth/token", SPA).status_code == 204
    moment += 0.1
    assert preflight(app, "/oauth/token", SPA).status_code == 405


def test_while_the_database_is_away_the_list_is_the_last_one(
    app: Flask, lose_database: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1_000.0
    monkeypatch.setattr(spa_origins.time, "monotonic", lambda: moment)
    assert preflight(app, "/oauth/token", SPA).status_code == 204
    lose_database()
    moment += CACHE_SECS
    assert preflight(app, "/oauth/token", SPA).status_code == 204


@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        (f"{SPA}/callback", SPA),
        ("https://spa.example.com:443/", SPA),
        ("https://SPA.example.com:8443/?a=b", f"{SPA}:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80/x", "http://[::1]"),
        ("com.example.app:/callback", None),
    ],
)
def test_the_origin_is_as_browsers_send_it(uri: str, origin: str | None) -> None:
    assert origin_of(uri) == origin
