"""Refusals as pages for people, and as problems for programs."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from authserve.core.clock import arrived_at
from authserve.database.transactions import db
from tests.support.browsing import Visit
from tests.support.clients import PASSWORD, Caller
from tests.support.databases import executed


@pytest.mark.parametrize("path", ["/nowhere", "/account/nowhere", "//sign-in", "/sign-in/"])
def test_a_person_gets_a_page_with_a_way_on(visit: Visit, path: str) -> None:
    shown = visit.open(path)
    assert shown.status == 404
    assert shown.headers["X-Correlation-ID"] in shown.text
    assert [a.get("href") for a in shown.tree.iter("a") if a.get("class") == "button full"] == ["/"]


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/.well-known/nowhere", "/metrics"])
def test_a_program_gets_a_problem_whatever_it_accepts(visit: Visit, path: str) -> None:
    assert visit.open(path).headers["Content-Type"] == "application/problem+json"


def test_without_pages_in_accept_it_is_a_problem(visit: Visit) -> None:
    for accept in ("*/*", "application/json", "text/html;q=0"):
        shown = visit.open("/nowhere", headers={"Accept": accept})
        assert shown.headers["Content-Type"] == "application/problem+json"


def test_another_method_is_explained(visit: Visit) -> None:
    shown = visit.send("/account", {})
    assert (shown.status, shown.headers["Allow"]) == (405, "GET, HEAD")
    assert "cannot be opened like that" in shown.title


NO_FORMS = [
    ("identifier=a&identifier=b", "application/x-www-form-urlencoded", 400),
    ("identifier=%00", "application/x-www-form-urlencoded", 400),
    ("identifier=%ff", "application/x-www-form-urlencoded", 400),
    ('{"identifier": "alice"}', "application/json", 415),
    ("identifier=alice", "text/plain", 415),
    (f"identifier={'a' * 70_000}", "application/x-www-form-urlencoded", 413),
]
"""Bodies with their content type and the status of the refusal."""


def test_a_body_that_is_no_form_is_refused(visit: Visit) -> None:
    for fields, content_type, status in NO_FORMS:
        answer = visit.client.post(
            "/sign-in",
            data=fields,
            base_url=visit.base_url,
            headers={"Content-Type": content_type, "Origin": visit.base_url, "Accept": "text/html"},
        )
        assert answer.status_code == status, fields[:30]
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_late_request_is_refused(visit: Visit) -> None:
    token = arrived_at.set(-10_000.0)
    try:
        shown = visit.open("/sign-in")
    finally:
        arrived_at.reset(token)
    assert shown.status == 503
    assert int(shown.headers["Retry-After"]) > 0


def test_without_the_database_the_form_is_shown_and_the_cookie_stays(
    visit: Visit, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit.sign_in()

    def fail(*_args: object) -> None:
        raise OperationalError("SELECT", None, Exception("away"), connection_invalidated=True)

    monkeypatch.setattr("authserve.auth.queries.read_all", fail)
    assert visit.open("/sign-in").status == 200
    shown = visit.open("/account")
    assert (shown.status, "Retry-After" in shown.headers) == (503, True)
    assert visit.cookie() is not None
    monkeypatch.undo()
    assert visit.open("/account").status == 200


def test_the_form_costs_no_statement(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise AssertionError("a statement")

    monkeypatch.setattr("authserve.database.transactions._fetch", fail)
    assert visit.open("/sign-in").status == 200


def test_page_posts_are_limited(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    visit = Visit(app)
    statuses = [visit.send("/sign-out", {}).status for _ in range(121)]
    assert statuses == [303] * 120 + [429]
    assert PASSWORD not in visit.open("/sign-in").html


def test_no_page_of_a_failure_asks_the_database(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    with app.app_context():
        engine = db.engine
    with executed(engine) as sent:
        assert visit.open("/nowhere").status == 404
    assert sent == []
