"""What holds for every page of the account, found in the application's routes."""

import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import time_machine
from flask import Flask

from tests.support.browsing import BROWSER, OWN_FORM, Visit
from tests.support.clients import Caller
from tests.support.rows import count_sessions

SIGN_IN = "/sign-in"

CONFIRM = "/account/confirm"

ALWAYS_OPEN = {
    "/account",
    CONFIRM,
    "/account/activity",
    "/account/activity/answer",
    "/account/apps",
    "/account/apps/<client_id>/end",
    "/account/data",
    "/account/email/withdraw",
    "/account/keys",
    "/account/keys/<uuid:key_id>/revoke",
    "/account/password",
    "/account/profile",
    "/account/sessions",
    "/account/sessions/<uuid:session_id>/end",
    "/account/sessions/end-all",
    "/account/sessions/end-others",
    "/account/sign-in-methods",
}
"""The pages that need no recent proof; every other one does, as the API's call does."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with all pages of the account."""
    return make_app(features=("pages", "oidc", "api-keys", "federation"))


def paths_of(app: Flask, method: str) -> dict[str, str]:
    """Return the account's pages that answer a method: rules, each with a path that fits it."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/account")]
    found = {
        rule.rule: re.sub("<(uuid:)?[a-z_]+>", str(uuid4()), rule.rule)
        for rule in rules
        if method in (rule.methods or ())
    }
    assert len(found) > 10
    return found


def form_token(visit: Visit) -> str:
    """Return the token of the session's forms."""
    return visit.open("/sign-out").form("/sign-out")["token"]


def test_an_anonymous_person_is_led_to_the_sign_in(app: Flask, visit: Visit) -> None:
    for path in paths_of(app, "GET").values():
        shown = visit.open(path)
        assert (shown.status, urlsplit(shown.location).path) == (303, SIGN_IN), path
        assert "Set-Cookie" not in shown.headers, path
    for path in paths_of(app, "POST").values():
        shown = visit.send(path, {"token": "00" * 32})
        assert (shown.status, urlsplit(shown.location).path) == (303, SIGN_IN), path


def test_a_form_needs_its_origin_and_the_token_of_its_session(
    app: Flask, visit: Visit, alice: Caller, bob: Caller
) -> None:
    visit.sign_in()
    other = Visit(app)
    other.sign_in("bob")
    strange = form_token(other)
    foreign = {**OWN_FORM, "Origin": "https://evil.example"}
    token = form_token(visit)
    for path in paths_of(app, "POST").values():
        for wrong in ({}, {"token": ""}, {"token": "x"}, {"token": strange}):
            assert visit.send(path, wrong).status == 403, (path, wrong)
        assert visit.send(path, {"token": token}, headers=foreign).status == 403, path
    assert count_sessions(app, kind="browser", revoked_at=None) == 2


def test_a_malformed_form_is_refused(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    token = form_token(visit)
    for path in paths_of(app, "POST").values():
        twice = visit.client.post(
            path,
            data=f"token={token}&token={token}",
            content_type="application/x-www-form-urlencoded",
            base_url=visit.base_url,
            headers={**BROWSER, **OWN_FORM},
        )
        assert twice.status_code == 400, path
        # Alice has no passkeys, and only a person who may change factors is told of a fault.
        shown = visit.send(path, {"token": token, "surprise": "1"})
        assert shown.status in (303, 404, 422), (path, shown.status)
        if shown.status == 303:
            assert urlsplit(shown.location).path == CONFIRM, path
    assert count_sessions(app, kind="browser", revoked_at=None) == 1


def test_a_get_sets_no_cookie_and_changes_nothing(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    for path in paths_of(app, "GET").values():
        shown = visit.open(path)
        assert shown.status in (200, 303, 404), path
        assert "Set-Cookie" not in shown.headers, path
    assert count_sessions(app, kind="browser", revoked_at=None) == 1


def test_every_page_without_a_proof_exists(app: Flask) -> None:
    rules = paths_of(app, "GET").keys() | paths_of(app, "POST").keys()
    assert ALWAYS_OPEN - rules == set()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_changes_access_needs_a_recent_proof(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller, method: str
) -> None:
    visit.sign_in()
    token = form_token(visit)
    clock.shift(timedelta(minutes=5))
    for rule, path in paths_of(app, method).items():
        if rule in ALWAYS_OPEN:
            continue
        shown = visit.open(path) if method == "GET" else visit.send(path, {"token": token})
        assert shown.status == 303, (rule, shown.status)
        assert urlsplit(shown.location).path == CONFIRM, (rule, shown.location)
