"""A request that has waited for a thread for too long is refused by every page and API call."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter, UUIDConverter

from authserve.core.clock import arrived_at
from tests.support.browsing import BROWSER, ORIGIN, OWN_FORM

FROM_MEMORY = {
    "/",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/docs",
    "/docs/<name>",
    "/docs/initializer.js",
    "/openapi.json",
    "/pages/<name>",
}

PROBES = {"/healthz", "/readyz"}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every feature that has calls."""
    return make_app(features=("pages", "oidc", "federation", "forward-auth", "api-keys"))


@pytest.fixture
def is_late() -> Iterator[None]:
    """Every request of the test arrived long ago."""
    token = arrived_at.set(-10_000.0)
    yield
    arrived_at.reset(token)


def value_for(converter: object) -> Any:
    match converter:
        case UUIDConverter():
            return UUID(int=0)
        case AnyConverter():
            return min(converter.items)
        case _:
            return "x"


def path_of(app: Flask, rule: Rule, method: str) -> str:
    values = {name: value_for(rule._converters[name]) for name in rule.arguments}
    return app.url_map.bind("localhost").build(rule.endpoint, values, method=method)


def test_a_late_request_is_refused(app: Flask, is_late: None) -> None:
    answered: set[str] = set()
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = path_of(app, rule, method)
            headers = {**BROWSER, **OWN_FORM}
            answer = app.test_client().open(path, method=method, headers=headers, base_url=ORIGIN)
            if answer.status_code == 503:
                assert int(answer.headers["Retry-After"]) > 0, path
            else:
                answered.add(rule.rule)
    assert answered == FROM_MEMORY | PROBES
