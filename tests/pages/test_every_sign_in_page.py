"""What holds for every page of a sign-in, found in the application's routes."""

import pytest
from flask import Flask

from authserve.database.transactions import db
from tests.support.browsing import BROWSER, OWN_FORM, Visit
from tests.support.clients import Caller
from tests.support.databases import executed
from tests.support.factors import give_totp
from tests.support.rows import count_sessions


@pytest.fixture
def pending(app: Flask, visit: Visit, alice: Caller) -> str:
    """The name of a sign-in of Alice in progress, in the browser."""
    give_totp(app, alice.id)
    return visit.sign_in().form()["pending"]


def paths_of(app: Flask, method: str) -> list[str]:
    """Return the paths of the sign-in that answer a method."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/sign-in")]
    found = {rule.rule for rule in rules if method in (rule.methods or ())}
    by_name = "/sign-in/second-step/<any('totp', 'passkey', 'recovery-code'):name>"
    found = {rule.replace(by_name, "/sign-in/second-step/totp") for rule in found}
    assert len(found) > 7
    return sorted(found)


def test_a_get_sets_no_cookie_and_writes_nothing(app: Flask, visit: Visit, pending: str) -> None:
    with app.app_context():
        engine = db.engine
    for path in paths_of(app, "GET"):
        with executed(engine) as sent:
            shown = visit.open(f"{path}?pending={pending}")
        assert shown.status in (200, 303), path
        assert "Set-Cookie" not in shown.headers, path
        written = [text for text, _ in sent if not text.startswith("SELECT")]
        assert written == [], path


def test_the_form_to_sign_in_asks_the_database_nothing(app: Flask, visit: Visit) -> None:
    with app.app_context():
        engine = db.engine
    with executed(engine) as sent:
        assert "data-passkey" in visit.open("/sign-in").html
    assert sent == []


def test_a_foreign_form_is_refused(app: Flask, visit: Visit, pending: str) -> None:
    foreign = {**OWN_FORM, "Origin": "https://evil.example"}
    for path in paths_of(app, "POST"):
        for headers in (foreign, {}):
            assert visit.send(path, {"pending": pending}, headers=headers).status == 403, path


def test_a_malformed_form_is_refused(app: Flask, visit: Visit, pending: str) -> None:
    headers = {**BROWSER, **OWN_FORM}
    for path in paths_of(app, "POST"):
        for body, kind, status in (
            (f"pending={pending}&pending={pending}", "application/x-www-form-urlencoded", 400),
            ("{}", "application/json", 415),
            ("x=" + "y" * 65_536, "application/x-www-form-urlencoded", 413),
        ):
            answer = visit.client.post(
                path, data=body, content_type=kind, base_url=visit.base_url, headers=headers
            )
            assert answer.status_code == status, (path, body[:20])
        shown = visit.send(path, {"pending": pending, "surprise": "1"})
        assert shown.status in (303, 422), path
    assert count_sessions(app, kind="browser") == 0


def test_another_method_is_refused(app: Flask, visit: Visit) -> None:
    for path in paths_of(app, "GET"):
        assert visit.client.put(path, headers=BROWSER).status_code == 405, path
