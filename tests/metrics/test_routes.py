"""Access to `/metrics`, and its format."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserve.core.events import SUBSCRIPTIONS
from authserve.metrics.counting import METRICS
from tests.support.clients import Caller
from tests.support.metrics import BEARER, METRICS_TOKEN, Scrape
from tests.support.problems import assert_problem

Read = Callable[[], Scrape]


def test_without_a_token_of_the_operators_there_is_nothing(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    for headers in ({}, BEARER, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"}):
        assert_problem(client.get("/metrics", headers=headers), 404, "not_found")


def test_without_it_nothing_is_counted(make_app: Callable[..., Flask]) -> None:
    silent, counting = make_app(), make_app(metrics_token=METRICS_TOKEN)
    assert METRICS not in silent.extensions
    hooks = [app.after_request_funcs[None] for app in (silent, counting)]
    assert len(hooks[0]) == len(hooks[1]) - 1
    heard = [SUBSCRIPTIONS.of(app) for app in (silent, counting)]
    assert len(heard[0]) == len(heard[1]) - 1


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "authentication_required"),
        ("Basic eDp5", "authentication_required"),
        ("Bearer ", "invalid_token"),
        (f"Bearer {METRICS_TOKEN[:-1]}", "invalid_token"),
        (f"Bearer {METRICS_TOKEN}x", "invalid_token"),
        (f"Bearer {METRICS_TOKEN.lower()}", "invalid_token"),
        ("Bearer \xe4", "invalid_token"),
    ],
)
def test_it_wants_the_token(client: FlaskClient, header: str | None, code: str) -> None:
    response = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert_problem(response, 401, code)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.headers["Cache-Control"] == "no-store"
    assert METRICS_TOKEN not in response.text


def test_an_administrators_token_is_not_the_one(admin: Caller) -> None:
    assert_problem(admin.get("/metrics"), 401, "invalid_token")


def test_it_answers_in_prometheus_own_format(client: FlaskClient) -> None:
    response = client.get("/metrics", headers=BEARER)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert len(Scrape(response.text).families) > 15


def test_it_is_only_read(client: FlaskClient) -> None:
    assert_problem(client.post("/metrics", headers=BEARER), 405, "method_not_allowed")


def test_names_follow_the_conventions_of_prometheus(alice: Caller, read: Read) -> None:
    """Prometheus' "Metric and label naming": a prefix, base units, `_total` for counters."""
    for family in read().families.values():
        assert re.fullmatch(r"authserve(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert names <= {f"{family.name}_total"}
        elif family.type == "histogram":
            assert family.name.endswith("_seconds")
        else:
            assert family.type == "gauge"
            assert not family.name.endswith("_total")
        for unit in ("_ms", "_minutes", "_hours", "_percent"):
            assert unit not in family.name


def test_nothing_personal_is_exported(alice: Caller, client: FlaskClient) -> None:
    text = client.get("/metrics", headers=BEARER).text
    for told in (alice.user["id"], "alice", str(alice.session_id), METRICS_TOKEN, "127.0.0.1"):
        assert told not in text
