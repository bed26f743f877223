"""The pages themselves: their content, and fetching without side effects."""

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from authserve.core.ids import new_id
from authserve.database.transactions import db
from authserve.verification.policy import Purpose
from authserve.verification.routes import ASSETS
from authserve.verification.tokens import PAGES, make_link
from tests.support.clients import PASSWORD, Caller
from tests.support.mail import open_mailbox, work
from tests.support.problems import assert_problem

PATHS = (
    "/verify-email",
    "/reset-password",
    "/confirm-email",
    "/accept-invitation",
    "/first-administrator",
)

each_page = pytest.mark.parametrize("path", PATHS)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem and data.strip():
            self.inline.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def directives(policy: str) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in policy.split(";"))
    return {name: value for name, _, value in parts}


@each_page
def test_it_sends_strict_headers(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.content_type == "text/html; charset=utf-8"
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers
    (policy,) = response.headers.getlist("Content-Security-Policy")
    assert directives(policy) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


@each_page
def test_it_answers_get_and_head_alone(client: FlaskClient, path: str) -> None:
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.content_length == client.get(path).content_length
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        response = client.open(path, method=method)
        assert_problem(response, 405, "method_not_allowed")
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@each_page
def test_it_is_the_same_whatever_the_request_says(client: FlaskClient, path: str) -> None:
    """Programs that scan mail add parameters; none of them comes back in the page."""
    plain = client.get(path).data
    marked = client.get(f"{path}?token=spoken-aloud&utm_source=mail&a=1&a=2&x=%00%ff")
    assert (marked.status_code, marked.data) == (200, plain)
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Referer": "//evil"}
    assert client.get(path, headers=headers).data == plain


@each_page
def test_it_has_no_script_or_style_inline_and_none_of_others(
    client: FlaskClient, path: str
) -> None:
    page = Elements(client.get(path).get_data(as_text=True))
    assert page.inline == []
    for tag, attributes in page.elements:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
    assert [script["src"] for script in page.all("script")] == ["/pages/pages.js"]
    sources = [a[n] or "" for _, a in page.elements for n in ("src", "href", "action") if n in a]
    assert sorted(sources) == ["/pages/icon.svg", "/pages/pages.css", "/pages/pages.js"]
    for source in sources:
        with client.get(source) as response:
            assert response.status_code == 200


@each_page
def test_it_suits_password_managers_and_screen_readers(client: FlaskClient, path: str) -> None:
    page = Elements(client.get(path).get_data(as_text=True))
    assert page.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    fields = [field for field in page.all("input") if "name" in field]
    labelled = {label.get("for") for label in page.all("label")}
    for field in fields:
        assert field["id"] in labelled
        assert set((field["aria-describedby"] or "").split()) <= set(ids)
        # A paste that is too long has to be reported, not cut.
        assert "maxlength" not in field
    (password,) = [field for field in fields if field["type"] == "password"]
    is_new = path in ("/reset-password", "/accept-invitation", "/first-administrator")
    assert password["autocomplete"] == ("new-password" if is_new else "current-password")
    assert password.get("minlength") == ("8" if is_new else None)
    (form,) = page.all("form")
    assert form["method"] == "post"
    assert "novalidate" in form
    assert "hidden" in form


@pytest.mark.parametrize(("min_length", "has_short_form"), [(8, True), (14, True), (15, False)])
def test_it_names_the_rules_for_passwords(make_app, min_length: int, has_short_form: bool) -> None:
    client = make_app(password_min_length=min_length).test_client()
    for path in ("/reset-password", "/accept-invitation"):
        html = client.get(path).get_data(as_text=True)
        assert f'minlength="{min_length}"' in html
        assert ("15 characters or more" in html) is True
        assert (f"need at least {min_length}, with" in html) is has_short_form


def test_its_forms_call_what_the_api_has(app: Flask, client: FlaskClient) -> None:
    """Each form names a path, and fields, that the OpenAPI document names as well."""
    document = client.get("/openapi.json").get_json()
    for path in PATHS:
        page = Elements(client.get(path).get_data(as_text=True))
        operation = document["paths"][page.all("form")[0]["data-call"]]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        properties = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        names = {field["name"] for field in page.all("input") if "name" in field}
        assert names | {"token"} == set(properties["properties"])


def test_its_assets_are_a_closed_list(client: FlaskClient) -> None:
    for name in ASSETS:
        with client.get(f"/pages/{name}") as response:
            assert response.status_code == 200
            # Checked at each use, so that page and script are of one release.
            assert response.headers["Cache-Control"] == "no-cache"
            headers = {"If-None-Match": response.headers["ETag"]}
        with client.get(f"/pages/{name}", headers=headers) as response:
            assert response.status_code == 304
    for name in ("", "routes.py", "page.html", "..%2froutes.py", "../routes.py", "pages.js/"):
        assert_problem(client.get(f"/pages/{name}"), 404, "not_found")


def test_its_script_inserts_text_alone(client: FlaskClient) -> None:
    with client.get("/pages/pages.js") as response:
        script = response.get_data(as_text=True)
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|storage"
    assert not re.search(sinks, script, re.IGNORECASE)


@pytest.mark.parametrize("purpose", Purpose)
def test_every_mailed_link_leads_to_a_page(
    app: Flask, client: FlaskClient, purpose: Purpose, context: None
) -> None:
    link = urlsplit(make_link(purpose, new_id()))
    assert link.path == PAGES[purpose]
    assert client.get(link.path).status_code == 200
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", link.fragment)
    assert not link.query


def test_a_hundred_visits_consume_nothing(app: Flask, alice: Caller) -> None:
    mailbox = open_mailbox(app)
    visitor = app.test_client()
    visitor.post("/api/v1/auth/password/forgot", json={"email": "alice@example.com"})
    work(app)
    links = {urlsplit(letter.link).path: letter for letter in mailbox.to("alice@example.com")}
    assert set(links) == {"/verify-email", "/reset-password"}

    for number in range(100):
        for path, letter in links.items():
            # Some scanners send the fragment along, unlike any browser.
            target = path if number % 2 else f"{path}?token={letter.token}&{letter.token}"
            assert visitor.open(target, method="HEAD" if number % 3 else "GET").status_code == 200

    verify = {"token": links["/verify-email"].token, "password": PASSWORD}
    assert visitor.post("/api/v1/auth/email/verify", json=verify).status_code == 204
    reset = {"token": links["/reset-password"].token, "new_password": f"{PASSWORD} again"}
    assert visitor.post("/api/v1/auth/password/reset", json=reset).status_code == 200


def test_it_needs_no_database(app: Flask, client: FlaskClient) -> None:
    with app.app_context():

        @event.listens_for(db.engine, "before_cursor_execute")
        def refuse(*_: object) -> None:
            pytest.fail("a statement")

    for path in PATHS:
        assert client.get(path).status_code == 200


@each_page
def test_a_link_whose_fragment_was_escaped_leads_to_its_page(
    client: FlaskClient, path: str
) -> None:
    """Some mail programs write `%23` for `#`."""
    token = "aB3-_x89" * 8
    response = client.get(f"{path}%23{token}")
    assert response.status_code == 303
    # Relative to the requested page, with any prefix that a proxy strips.
    assert response.headers["Location"] == f"{path[1:]}#{token}"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.get_data() == b""


@pytest.mark.parametrize("token", ["x", "x" * 65, "%0d%0aSet-Cookie:a=b", "é"])
def test_what_is_no_token_is_not_led_on(client: FlaskClient, token: str) -> None:
    response = client.get(f"/verify-email%23{token}")
    assert response.status_code == 303
    assert response.headers["Location"] == "verify-email"


def test_a_token_with_a_slash_is_another_path(client: FlaskClient) -> None:
    response = client.get("/verify-email%23//evil.example")
    assert response.status_code == 404
    assert "Location" not in response.headers
