"""CORS: the pages of other origins that may call, and the headers that they may read."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.errors import ThrottledError, UnavailableError
from authserve.http.cors import EXPOSED_HEADERS
from tests.http.test_middleware import EVERY_STATUS, fail
from tests.support.clients import Caller, login, register
from tests.support.probes import PROBE, add_probe
from tests.support.problems import assert_problem

ME = "/api/v1/users/me"

APP = "https://app.example.com"

LOCAL = "http://localhost:3000"

STRANGERS = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://www.app.example.com",
    "https://appXexample.com",
    "https://app.example.com:8443",
    "https://app.example.com:443",
    "https://app.example.com/",
    "https://APP.example.com",
    "HTTPS://app.example.com",
    "http://app.example.com",
    "https://app.example.com https://evil.example",
    "https://app.example.com,https://evil.example",
    "http://localhost",
    "http://localhost:30001",
    "null",
    "*",
    "",
]


class TooMuchError(ThrottledError):
    code = "too_many_attempts"
    default_detail = "Too much."


def raising(error: Exception) -> Callable[[], None]:
    def view() -> None:
        raise error

    return view


STATUSES: dict[int, Callable[[Caller], TestResponse]] = {
    **EVERY_STATUS,
    429: lambda alice: alice.get(f"{PROBE}/throttled"),
    503: lambda alice: alice.get(f"{PROBE}/away"),
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application that pages of two origins may call."""
    app = make_app(cors_origins=(APP, LOCAL))
    add_probe(app, fail, rule=f"{PROBE}/fail")
    add_probe(app, raising(TooMuchError()), rule=f"{PROBE}/throttled")
    add_probe(app, raising(UnavailableError()), rule=f"{PROBE}/away")
    return app


def from_page(app: Flask, origin: str) -> FlaskClient:
    """Return a client whose requests carry `Origin: origin`."""
    client = app.test_client()
    client.environ_base["HTTP_ORIGIN"] = origin
    return client


def ask(client: FlaskClient, path: str, method: str = "GET", **headers: str) -> TestResponse:
    """Send a preflight request."""
    wanted = {"Access-Control-Request-Method": method, **headers}
    return client.options(path, headers=wanted)


def words(value: str) -> set[str]:
    return set(value.split(", "))


def access_headers(response: TestResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers
        if name.startswith("Access-Control-") and name != "Access-Control-Expose-Headers"
    }


@pytest.mark.parametrize("origin", [APP, LOCAL])
@pytest.mark.parametrize("status", STATUSES)
def test_a_listed_page_reads_every_answer(app: Flask, status: int, origin: str) -> None:
    client = from_page(app, origin)
    user = register(client, "alice").get_json()
    alice = Caller(client=client, user=user, tokens=login(client, "alice").get_json())
    response = STATUSES[status](alice)
    assert response.status_code == status
    assert access_headers(response) == {"Access-Control-Allow-Origin": origin}
    assert response.headers.getlist("Vary") == ["Origin"]
    exposed = words(response.headers["Access-Control-Expose-Headers"])
    assert exposed == set(EXPOSED_HEADERS)
    for name in ("X-Correlation-ID", "Retry-After", "WWW-Authenticate"):
        assert name in exposed


@pytest.mark.parametrize("origin", STRANGERS)
def test_no_other_page_reads_any(app: Flask, origin: str) -> None:
    client = from_page(app, origin)
    for path in (ME, "/healthz", "/nowhere", "/.well-known/jwks.json"):
        response = client.get(path)
        assert access_headers(response) == {}
        assert response.headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("origin", STRANGERS)
def test_the_question_of_any_other_page_is_a_method_that_there_is_not(
    app: Flask, origin: str
) -> None:
    response = ask(from_page(app, origin), ME)
    assert_problem(response, 405, "method_not_allowed")
    assert access_headers(response) == {}


def test_a_request_without_origin_gets_no_cors_headers(client: FlaskClient) -> None:
    response = client.get("/.well-known/jwks.json")
    assert access_headers(response) == {}
    assert response.headers.getlist("Vary") == ["Origin"]


MAY_BE_SENT = {
    "authorization",
    "content-type",
    "x-correlation-id",
    # Headers that libraries add to each call.
    "baggage",
    "cache-control",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-requested-with",
}


def test_a_listed_page_may_ask_about_every_route(app: Flask) -> None:
    client = from_page(app, APP)
    routes: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<uuid:", "<").replace("<string:", "<")
        path = re.sub(r"<any\('([^']+)'.*?\):\w+>", r"\1", path)
        for name in rule.arguments:
            value = "0190a3a5-0000-7000-8000-000000000000" if name.endswith("_id") else "x"
            path = path.replace(f"<{name}>", value)
        routes.setdefault(path, set()).update(rule.methods or ())
    assert len(routes) > 30
    for path, methods in routes.items():
        response = ask(client, path, "PUT")
        assert (response.status_code, response.data) == (204, b""), path
        assert "Content-Type" not in response.headers
        headers = access_headers(response)
        assert words(headers.pop("Access-Control-Allow-Methods")) == methods, path
        assert words(headers.pop("Access-Control-Allow-Headers").lower()) == MAY_BE_SENT
        assert headers == {"Access-Control-Allow-Origin": APP, "Access-Control-Max-Age": "7200"}


def test_a_question_about_no_route_is_not_found(app: Flask) -> None:
    client = from_page(app, APP)
    for path in ("/nowhere", "/api/v1/nowhere", "//api/v1/users/me", "/api/v1/users/me/"):
        assert_problem(ask(client, path), 404, "not_found")


def test_options_that_asks_nothing_is_a_method_that_there_is_not(app: Flask) -> None:
    assert_problem(from_page(app, APP).options(ME), 405, "method_not_allowed")
    assert_problem(ask(app.test_client(), ME), 405, "method_not_allowed")


def test_a_question_needs_no_token_and_no_database(
    app: Flask, lose_database: Callable[[], None]
) -> None:
    lose_database()
    assert ask(from_page(app, APP), ME, "DELETE").status_code == 204


def test_neither_credentials_nor_private_networks_are_opened(app: Flask) -> None:
    client = from_page(app, APP)
    for response in (
        ask(client, ME, **{"Access-Control-Request-Private-Network": "true"}),
        client.get(ME, headers={"Cookie": "a=b"}),
    ):
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Access-Control-Allow-Private-Network" not in response.headers


def test_without_a_list_there_is_none_of_it(make_app: Callable[..., Flask]) -> None:
    with_list, app = make_app(cors_origins=(APP,)), make_app()
    client = from_page(app, APP)
    assert_problem(ask(client, ME), 405, "method_not_allowed")
    for response in (ask(client, ME), client.get(ME), client.get("/healthz")):
        assert access_headers(response) == {}
        assert "Vary" not in response.headers
    assert len(app.before_request_funcs[None]) == len(with_list.before_request_funcs[None]) - 1
    assert len(app.after_request_funcs[None]) == len(with_list.after_request_funcs[None]) - 1


SIMPLE_BODIES: list[dict[str, Any]] = [
    {"data": '{"email": "mallory@example.com"}', "content_type": "text/plain"},
    {"data": '{"email": "mallory@example.com"}', "content_type": "text/plain;application/json"},
    {"data": {"email": "mallory@example.com"}, "content_type": "multipart/form-data"},
    {"data": '{"email": "mallory@example.com"}'},
]
"""Requests that a page can send to any origin without a preflight (Fetch, "CORS-safelisted")."""


@pytest.mark.parametrize("body", SIMPLE_BODIES, ids=lambda body: body.get("content_type", "none"))
def test_nothing_that_needs_no_question_is_taken(
    make_app: Callable[..., Flask], body: dict[str, Any]
) -> None:
    app = make_app()
    client = from_page(app, "https://evil.example")
    paths = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    paths = {path for path in paths if path.startswith("/api/") and "<" not in path}
    assert len(paths) > 10
    for path in paths:
        response = client.post(path, **body)
        assert_problem(response, 415, "unsupported_media_type")


def test_a_form_is_taken_by_one_call_alone_and_for_a_token_that_forms_cannot_send(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app()
    client = from_page(app, "https://evil.example")
    paths = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    answers = {
        path: client.post(path, data={"token": "x"}).status_code
        for path in paths
        if path.startswith("/api/") and "<" not in path
    }
    assert answers.pop("/api/v1/auth/introspect") == 401
    assert set(answers.values()) == {415}
