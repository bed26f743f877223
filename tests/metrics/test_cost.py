"""Counting is a small part of a request's cost."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

from tests.http.test_cost import ME, count_calls
from tests.support.clients import Caller, register_caller
from tests.support.metrics import METRICS_TOKEN

MAX_CALLS = 100
"""For one request: two counters and a histogram, Python's functions and C's (chosen)."""


def cost(app: Flask, caller: Caller) -> int:
    """Return the number of function calls of GET /users/me, after the first."""
    headers = {"Authorization": f"Bearer {caller.tokens['access_token']}"}

    def environ() -> dict[str, Any]:
        return EnvironBuilder(path=ME, headers=headers).get_environ()

    def call(environ: dict[str, Any]) -> None:
        b"".join(app.wsgi_app(environ, lambda *_told: None))

    for _ in range(5):
        call(environ())
    prepared = environ()
    return count_calls(lambda: call(prepared))


def test_counting_a_request_takes_few_calls(make_app: Callable[..., Flask]) -> None:
    silent, counting = make_app(), make_app(metrics_token=METRICS_TOKEN)
    alice = register_caller(silent, "alice")
    assert 0 < cost(counting, alice) - cost(silent, alice) <= MAX_CALLS
