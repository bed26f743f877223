"""GET `/`: for people and for programs."""

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserve import __version__

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("accept", [CHROMIUM, "text/html", "application/json;q=0.1, TEXT/HTML"])
def test_a_browser_is_sent_to_the_documentation(client: FlaskClient, accept: str) -> None:
    answer = client.get("/", headers={"Accept": accept})
    assert answer.status_code == 302
    # No host, no slash in front: it is right behind a proxy that strips a prefix, too.
    assert answer.headers["Location"] == "docs"
    assert answer.headers["Vary"] == "Accept"
    assert (
        client.get(
            urlsplit(urljoin("http://localhost/", answer.headers["Location"])).path
        ).status_code
        == 200
    )


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html;q=0", "text/*"])
def test_a_program_learns_what_answers(make_app: Callable[..., Flask], accept: str | None) -> None:
    client = make_app(public_url="https://auth.example.com").test_client()
    answer = client.get("/", headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200
    assert answer.headers["Vary"] == "Accept"
    assert answer.json == {
        "name": "auth.example.com",
        "version": __version__,
        "documentation": "https://auth.example.com/docs",
        "openapi": "https://auth.example.com/openapi.json",
    }


def test_the_name_is_the_brands(make_app: Callable[..., Flask]) -> None:
    answer = make_app(brand_name="Example Cloud").test_client().get("/")
    assert answer.json["name"] == "Example Cloud"


def test_it_only_answers_get(client: FlaskClient) -> None:
    assert client.post("/").status_code == 405
