"""Views of a test's own, in the real application."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient

PROBE = "/api/v1/probe"


def add_probe(app: Flask, view: Any, *, rule: str = PROBE) -> None:
    """Serve `view` beside the service's own; before the first request of `app`."""
    app.add_url_rule(rule, f"probe{rule}", view, methods=("GET", "POST"))


def cookie_client(app: Flask) -> FlaskClient:
    """Return a client that sends a given `Cookie` header; others replace it with their own."""
    return app.test_client(use_cookies=False)
