import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from authserve.http.docs import ASSETS
from tests.support.problems import assert_problem


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """The OpenAPI document that the service serves."""
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = response.get_json()
    return found


def test_it_is_valid_openapi_31(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document, cls=OpenAPIV31SpecValidator)


def test_it_names_the_service_where_clients_reach_it(make_app: Any) -> None:
    for url in ("https://auth.example.com", "https://id.example.org:8443"):
        client = make_app(public_url=url).test_client()
        document = client.get("/openapi.json").get_json()
        assert document["servers"] == [{"url": url}]
        assert document["info"]["title"] == "authserve"


def test_two_applications_in_one_process_serve_their_own(make_app: Any) -> None:
    first, second = (make_app(public_url=f"https://{name}.example").test_client() for name in "ab")
    second.get("/openapi.json")
    assert first.get("/openapi.json").get_json()["servers"] == [{"url": "https://a.example"}]


class Links(HTMLParser):
    """The resources of a page, and its parts that a strict policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "link", "img", "iframe"):
            self.loaded.append(values.get("src") or values.get("href") or "")
        self.inline += [name for name in values if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)


def test_the_page_loads_only_what_the_service_has(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    links = Links()
    links.feed(page.get_data(as_text=True))
    assert links.inline == []
    assert len(links.loaded) == 5
    for path in links.loaded:
        # Relative to `/docs`, so that a proxy may strip a prefix.
        assert path.startswith("docs/")
        with client.get(f"/{path}") as response:
            assert response.status_code == 200, path


TYPES = {"css": "text/css", "js": "text/javascript", "png": "image/png"}


@pytest.mark.parametrize("name", sorted([*ASSETS, "initializer.js"]))
def test_every_file_of_it_is_there_with_its_type(client: FlaskClient, name: str) -> None:
    with client.get(f"/docs/{name}") as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith(TYPES[name.rpartition(".")[2]])
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["index.html", "oauth2-redirect.html", "LICENSE", "..", "", "swagger-ui.css.map"]
)
def test_no_other_file_of_the_package_is_served(client: FlaskClient, name: str) -> None:
    assert_problem(client.get(f"/docs/{name}"), 404, "not_found")


def test_the_pages_policy_allows_no_inline_code_and_no_other_origin(client: FlaskClient) -> None:
    (policy,) = client.get("/docs").headers.getlist("Content-Security-Policy")
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_page_contacts_no_third_party(app: Flask, client: FlaskClient) -> None:
    page = client.get("/docs").get_data(as_text=True)
    script = client.get("/docs/initializer.js").get_data(as_text=True)
    assert not re.search(r"https?:|//", page + script)
    # By default, Swagger UI sends the document to a validator of its vendor.
    assert "validatorUrl: null" in script
    assert "`${folder}openapi.json`" in script
