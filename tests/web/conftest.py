"""Fixtures: an application with pages, whose shared parts are tested here."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.browsing import Visit


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages."""
    return make_app(features=("pages",))


@pytest.fixture
def visit(app: Flask) -> Visit:
    """A browser without a sign-in."""
    return Visit(app)
