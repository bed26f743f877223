"""HEAD has no effect: where a GET has one, HEAD is refused."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.routing import Rule

from authserve.http.get_effects import has_effect_on_get

CHANGING = {
    "/.authserve/callback": {"GET"},
    "/oauth/authorize": {"GET", "POST"},
    "/oauth/logout": {"GET", "POST"},
    "/oauth/resume": {"GET"},
    "/sign-in/with/<slug>/callback": {"GET"},
}
"""The paths whose GET changes something, with their methods. Of all others, the tests of each page
and `tests/http/test_limits.py` show that GET writes nothing."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every feature that has such a path."""
    return make_app(features=("pages", "oidc", "federation", "forward-auth"))


def is_marked(app: Flask, rule: Rule) -> bool:
    return has_effect_on_get(app.view_functions[rule.endpoint])


def test_these_paths_are_marked(app: Flask) -> None:
    marked = {rule.rule for rule in app.url_map.iter_rules() if is_marked(app, rule)}
    assert marked == CHANGING.keys()


@pytest.mark.parametrize("path", CHANGING)
def test_head_is_refused_there_before_anything_runs(app: Flask, path: str) -> None:
    client = app.test_client()
    refused = client.head(path.replace("<slug>", "work"))
    assert (refused.status_code, refused.data) == (405, b"")
    assert set(refused.headers["Allow"].split(", ")) == CHANGING[path]
    assert "RateLimit-Limit" not in refused.headers


def test_everywhere_else_head_is_as_get(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        methods = rule.methods or set()
        if "GET" in methods:
            assert ("HEAD" in methods) is not is_marked(app, rule), rule.rule
