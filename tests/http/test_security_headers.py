"""Security headers on every answer, from every view and every server (ASVS 3.4)."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.clients import Caller
from tests.support.headers import SECURITY_HEADERS
from tests.support.server import Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

PAGES = {
    "/docs",
    "/verify-email",
    "/reset-password",
    "/confirm-email",
    "/accept-invitation",
    "/first-administrator",
}

ASSETS = ("/docs/swagger-ui.css", "/docs/initializer.js", "/pages/pages.js", "/pages/icon.svg")

APP = "https://app.example.com"


def assert_guarded(headers: Mapping[str, str], where: object) -> None:
    """Check the headers of an answer; `headers` joins repeated ones."""
    for name, value in SECURITY_HEADERS.items():
        assert headers.get(name) == value, (where, name)
    policy = headers.get("Content-Security-Policy", "")
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    for directive in ("default-src", "object-src", "base-uri", "form-action", "frame-ancestors"):
        assert directives.get(directive) == "'none'", (where, directive)
    assert "unsafe" not in policy, where
    kind = headers.get("Content-Type")
    if kind is not None and kind.startswith("text/"):
        assert "charset=utf-8" in kind, where


def joined(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the test client by name; one that is there twice is seen twice."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def paths_of(app: Flask) -> Iterator[str]:
    """A path of each route."""
    for rule in app.url_map.iter_rules():
        # A route of a few given words, such as `<any('a', 'b'):name>`, is tried with its first.
        path = re.sub(r"<any\('([^']+)'.*?\):\w+>", r"\1", rule.rule)
        for name, converter in rule._converters.items():
            if f"{name}>" not in path:
                continue
            prefix = next(p for p in ("uuid:", "string:", "") if f"<{p}{name}>" in path)
            value = "0190a3a5-0000-7000-8000-000000000000" if prefix == "uuid:" else "x"
            path = path.replace(f"<{prefix}{name}>", converter.to_url(value))
        yield path.replace("#", "%23")


@pytest.mark.parametrize("method", METHODS)
def test_every_route_answers_every_method_with_them(app: Flask, admin: Caller, method: str) -> None:
    paths = {*paths_of(app), *ASSETS, "/", "/nowhere", "/api/v1/nowhere", "//docs"}
    assert len(paths) > 40
    for path in paths:
        visit = partial(app.test_client().open, path, method=method, buffered=True)
        answers = [visit()]
        # Other methods of an administrator would end access to the rest.
        if method in ("GET", "HEAD"):
            bearer = f"Bearer {admin.tokens['access_token']}"
            answers.append(visit(headers={"Authorization": bearer}))
        for response in answers:
            assert_guarded(joined(response.headers), (method, path, response.status))
            assert "Content-Type" in response.headers or not response.data, (method, path)


def test_parts_and_repeats_of_a_file_have_them(client: FlaskClient) -> None:
    for path in ASSETS:
        etag = client.get(path, buffered=True).headers.get("ETag")
        for headers, status in (
            ({"If-None-Match": etag or ""}, 304),
            ({"Range": "bytes=0-3"}, 206),
            ({"Range": "bytes=999999999-"}, 416),
        ):
            response = client.get(path, headers=headers, buffered=True)
            if etag is not None:
                assert response.status_code == status, (path, headers)
            assert_guarded(joined(response.headers), (path, status))


def test_only_pages_for_people_are_html(app: Flask, client: FlaskClient) -> None:
    """No answer of the API can be taken for a document (ASVS 3.2.1)."""
    found = {
        path
        for path in {*paths_of(app), *ASSETS}
        for response in [client.get(path, buffered=True)]
        if response.mimetype in ("text/html", "application/xhtml+xml")
        if not response.location
    }
    assert found == PAGES


def test_they_come_through_gunicorn(make_server: Callable[..., Server]) -> None:
    server = make_server(CORS_ORIGINS=APP)
    client = server.client()
    person = {
        "email": "alice@example.com",
        "username": "alice",
        "password": "correct horse battery",
    }
    assert client.post("/api/v1/auth/register", json=person).status_code == 201
    body = {"identifier": "alice", "password": person["password"]}
    token = client.post("/api/v1/auth/login", json=body).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    me, etag = "/api/v1/users/me", client.get("/pages/pages.js").headers["ETag"]
    question = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    for method, path, options, status in (
        ("GET", me, {"headers": bearer}, 200),
        ("HEAD", me, {"headers": bearer}, 200),
        ("GET", "/docs", {}, 200),
        ("GET", "/reset-password", {}, 200),
        ("GET", "/.well-known/jwks.json", {}, 200),
        ("OPTIONS", me, {"headers": question}, 204),
        ("GET", "/pages/pages.js", {"headers": {"If-None-Match": etag}}, 304),
        ("POST", "/api/v1/auth/login", {"data": "{"}, 415),
        ("POST", "/api/v1/auth/login", {"json": []}, 400),
        ("GET", me, {"headers": {"Origin": APP}}, 401),
        ("GET", "/api/v1/users", {"headers": bearer}, 403),
        ("GET", "/nowhere", {}, 404),
        ("OPTIONS", me, {}, 405),
        ("TRACE", me, {}, 405),
        ("POST", "/api/v1/auth/register", {"json": person}, 409),
        ("PATCH", me, {"headers": bearer, "data": b" " * 65_537}, 413),
        ("PATCH", me, {"headers": bearer, "json": {"role": "admin"}}, 422),
        ("POST", "/api/v1/auth/logout", {"headers": bearer}, 204),
    ):
        response = client.request(method, path, **options)
        assert response.status_code == status, (method, path)
        assert_guarded(response.headers, (method, path, status))
        is_listed = APP in options.get("headers", {}).values()
        assert (response.headers.get("Access-Control-Allow-Origin") == APP) is is_listed
