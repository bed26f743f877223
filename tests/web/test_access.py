"""Pages of signed-in people: a live session, a recent proof, the token of the form."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Blueprint, Flask, Response
from sqlalchemy.exc import OperationalError

from authserve.core.clock import now
from authserve.core.errors import SessionRevokedError, StepUpRequiredError
from authserve.core.levels import Level
from authserve.pages.blueprint import page
from authserve.rbac.policy import Permission
from authserve.web.access import read_signed_in_form, require_fresh, require_signed_in
from authserve.web.forms import SignedInForm, Submission
from authserve.web.rendering import see_other
from authserve.web.setup import guard_pages
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.factors import give_totp
from tests.support.rows import change_user
from tests.support.totp import code_at

SAFE, EMPTY = "/test/safe", Submission()


def add_pages(app: Flask) -> None:
    """Add a page with a form, whose use case finds the session ended, and a form without a page."""
    blueprint = Blueprint("test", __name__)
    guard_pages(blueprint, secret_links=())

    @blueprint.get("/test/<name>")
    def show(name: str) -> Response:
        session = require_signed_in()
        require_fresh(session, level=Level.AAL2 if name == "level" else Level.AAL1)
        return page("sign_out.html", visitor=session, form=EMPTY)

    @blueprint.post("/test/<name>")
    def send(name: str) -> Response:
        session = require_signed_in()
        read_signed_in_form(SignedInForm(), session)
        require_fresh(session)
        if name == "ended":
            raise SessionRevokedError
        if name == "unproven":
            raise StepUpRequiredError
        return see_other("/test/done")

    @blueprint.route("/test/users", methods=["GET", "POST"])
    def list_users() -> Response:
        session = require_signed_in()
        session.actor.require_permissions(frozenset({Permission.USERS_READ}))
        return page("sign_out.html", visitor=session, form=EMPTY)

    @blueprint.post("/test/<name>/open")
    def act(name: str) -> Response:
        session = require_signed_in(back_to="pages.show_account")
        require_fresh(session, back_to="pages.show_account")
        return see_other("/test/done")

    app.register_blueprint(blueprint)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(features=("pages",))
    add_pages(app)
    return app


def query_of(location: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(location).query)


def test_an_anonymous_person_signs_in_and_comes_back(visit: Visit, alice: Caller) -> None:
    shown = visit.open(f"{SAFE}?x=1&x=2")
    assert (shown.status, urlsplit(shown.location).path) == (303, "/sign-in")
    token = visit.open(shown.location).form()["continue"]
    fields = {"identifier": "alice", "password": PASSWORD, "continue": token}
    assert visit.send("/sign-in", fields).location == f"{SAFE}?x=1"


@pytest.mark.parametrize(("sent_to", "comes_back_to"), [(SAFE, SAFE), (f"{SAFE}/open", "/account")])
def test_an_anonymous_form_comes_back_empty_to_its_page(
    visit: Visit, alice: Caller, sent_to: str, comes_back_to: str
) -> None:
    shown = visit.send(sent_to, {"new_email": "secret@example.com"})
    assert (shown.status, urlsplit(shown.location).path) == (303, "/sign-in")
    assert "secret" not in shown.location
    token = visit.open(shown.location).form()["continue"]
    fields = {"identifier": "alice", "password": PASSWORD, "continue": token}
    assert visit.send("/sign-in", fields).location == comes_back_to


def stale(clock: time_machine.Traveller, visit: Visit) -> dict[str, str]:
    """Sign in, let the proof become too old, and return the fields of the page's form."""
    visit.sign_in()
    fields = visit.open(SAFE).form()
    clock.shift(timedelta(minutes=5))
    return fields


def confirm(visit: Visit, shown: Shown) -> str:
    """Give the password on the page to which an answer leads; return where that leads."""
    assert (shown.status, urlsplit(shown.location).path) == (303, "/account/confirm")
    page = visit.open(shown.location)
    fields = {**page.form("/account/confirm"), "password": PASSWORD}
    return visit.send("/account/confirm", fields).location


def test_a_proof_is_asked_for_when_five_minutes_are_over(
    clock: time_machine.Traveller, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    clock.shift(timedelta(minutes=5) - timedelta(seconds=1))
    assert visit.open(SAFE).status == 200
    clock.shift(1)
    assert confirm(visit, visit.open(f"{SAFE}?x=1")) == f"{SAFE}?x=1"
    assert visit.open(SAFE).status == 200


@pytest.mark.parametrize(("sent_to", "comes_back_to"), [(SAFE, SAFE), (f"{SAFE}/open", "/account")])
def test_a_stale_form_comes_back_empty_after_the_proof(
    clock: time_machine.Traveller, visit: Visit, alice: Caller, sent_to: str, comes_back_to: str
) -> None:
    fields = stale(clock, visit)
    assert confirm(visit, visit.send(sent_to, fields)) == comes_back_to


def test_a_level_is_asked_for_and_reached(app: Flask, visit: Visit, alice: Caller) -> None:
    """The account has factors and does not need them, so its sign-ins are of one."""
    visit.sign_in()
    secret = give_totp(app, alice.id)
    change_user(app, alice.id, mfa_enabled=False)
    shown = visit.open("/test/level")
    assert query_of(shown.location)["level"] == ["aal2"]
    action = "/account/confirm?method=totp&level=aal2"
    page = visit.open(shown.location)
    fields = {**page.form(action), "password": PASSWORD, "code": code_at(secret, now())}
    assert visit.send(action, fields).location == "/test/level"
    assert visit.open("/test/level").status == 200


def test_the_way_back_belongs_to_one_session(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller
) -> None:
    stale(clock, visit)
    led = visit.open(SAFE)
    register_caller(app, "bob")
    bob = Visit(app)
    bob.sign_in("bob")
    shown = bob.open(led.location)
    assert "continue" not in shown.form("/account/confirm")
    token = query_of(led.location)["continue"][0]
    fields = {**shown.form("/account/confirm"), "password": PASSWORD, "continue": token}
    assert bob.send("/account/confirm", fields).location == "/account"


def test_a_session_that_ends_before_the_proof_begins_again(
    clock: time_machine.Traveller, visit: Visit, alice: Caller
) -> None:
    stale(clock, visit)
    led = visit.open(SAFE)
    visit.client.delete_cookie("authserve")
    shown = visit.open(led.location)
    assert urlsplit(shown.location).path == "/sign-in"
    # A sign-in is a proof, so the person goes straight on.
    fields = {**visit.open(shown.location).form(), "identifier": "alice", "password": PASSWORD}
    assert visit.send("/sign-in", fields).location == SAFE


@pytest.mark.parametrize("token", [None, "", "x", "00" * 32])
def test_a_form_needs_the_token_of_its_session(
    visit: Visit, alice: Caller, token: str | None
) -> None:
    visit.sign_in()
    fields = {} if token is None else {"token": token}
    assert visit.send(SAFE, fields).status == 403


def test_a_session_that_ends_meanwhile_leads_to_the_sign_in(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = visit.open(SAFE).form()
    shown = visit.send("/test/ended", fields)
    assert (shown.status, urlsplit(shown.location).path) == (303, "/sign-in")


def test_a_proof_that_the_use_case_misses_is_asked_for(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    shown = visit.send("/test/unproven", visit.open(SAFE).form())
    assert (shown.status, urlsplit(shown.location).path) == (303, "/account/confirm")
    assert query_of(shown.location)["level"] == ["aal2"]


def test_a_deactivated_account_is_signed_out_by_its_next_request(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    fields = visit.open(SAFE).form()
    change_user(app, alice.id, is_active=False)
    shown = visit.send(SAFE, fields)
    assert (urlsplit(shown.location).path, visit.cookie()) == ("/sign-in", None)


def test_a_role_that_is_taken_away_meanwhile_is_missed_by_the_form(
    app: Flask, visit: Visit, admin: Caller
) -> None:
    visit.sign_in("admin")
    fields = visit.open("/test/users").form()
    other = register_caller(app, "root", roles=("admin",))
    taken = other.put(f"/api/v1/users/{admin.id}/roles", json={"roles": []})
    assert taken.status_code == 200
    shown = visit.send("/test/users", fields)
    assert (shown.status, shown.title.partition(" –")[0]) == (403, "You may not open this page")
    assert visit.open("/account").status == 200


def test_without_the_database_a_form_is_refused_and_the_cookie_stays(
    visit: Visit, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit.sign_in()
    fields = visit.open(SAFE).form()

    def fail(*_args: object) -> None:
        raise OperationalError("SELECT", None, Exception("away"), connection_invalidated=True)

    monkeypatch.setattr("authserve.auth.queries.read_all", fail)
    shown = visit.send(SAFE, fields)
    assert (shown.status, "Retry-After" in shown.headers) == (503, True)
    assert shown.title.startswith("This takes longer")
    assert visit.cookie() is not None
