"""A new password by a person who knows the current one."""

import pytest
from flask import Flask

from authserve.core.levels import Level
from authserve.web.continuation import Continuation, TargetKind, write_continuation
from tests.support.browsing import Visit
from tests.support.clients import PASSWORD, Caller
from tests.support.rows import change_session, change_user, count_sessions
from tests.support.tokens import claims_of

CHANGE = "/account/password"
NEW = "another horse, another staple"


def test_it_ends_every_other_session_and_rotates_this_one(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    elsewhere = Visit(app)
    elsewhere.sign_in()
    visit.sign_in()
    former, session_id = visit.cookie(), visit.session_id
    form = elsewhere.open("/account/profile").form("/account/profile")

    shown = visit.fill(CHANGE, current_password=PASSWORD, new_password=NEW)

    assert "Your new password is set." in shown.text
    assert (visit.session_id, visit.cookie() != former) == (session_id, True)
    assert count_sessions(app, revoked_at=None) == 1
    # A form that stood open elsewhere leads to the sign-in, and back.
    lost = elsewhere.send("/account/profile", {**form, "display_name": "Ada"})
    assert lost.status == 303
    page = elsewhere.open(lost.location)
    fields = {**page.form("/sign-in"), "identifier": "alice", "password": NEW}
    assert elsewhere.send("/sign-in", fields).location == "/account/profile"


def test_a_form_in_another_tab_stays_good(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = visit.open("/account/profile").form("/account/profile")
    visit.fill(CHANGE, current_password=PASSWORD, new_password=NEW)
    assert visit.send("/account/profile", {**fields, "display_name": "Ada"}).status == 303
    assert visit.open("/account/profile").form("/account/profile")["display_name"] == "Ada"


def test_this_browser_stays_known_to_the_account(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    visit.fill(CHANGE, current_password=PASSWORD, new_password=NEW)
    stranger = Visit(app)
    for _ in range(5):
        stranger.sign_in(password="wrong password 12")
    assert stranger.sign_in(password=NEW).status == 429
    visit.fill("/sign-out")
    assert visit.sign_in(password=NEW).title.startswith("Your account")


@pytest.mark.parametrize("level", [Level.AAL1, Level.AAL2])
def test_its_second_factors_stay_counted_as_the_session_has_proven(
    app: Flask, visit: Visit, alice: Caller, level: Level
) -> None:
    visit.sign_in()
    change_session(app, visit.session_id, aal=level)
    visit.fill(CHANGE, current_password=PASSWORD, new_password=NEW)
    assert ("mfa" in claims_of(visit.cookie("authserve-device"))) is (level > Level.AAL1)


@pytest.mark.parametrize(
    ("fields", "faulty", "text"),
    [
        ({"current_password": "wrong password 12"}, "current_password", "This is not your current"),
        ({"new_password": "short"}, "new_password", ""),
        ({"new_password": "alice@example.com"}, "new_password", ""),
        ({"new_password": ""}, "new_password", "Fill this in."),
    ],
    ids=["wrong", "short", "own address", "empty"],
)
def test_a_fault_is_named_at_its_field_and_changes_nothing(
    visit: Visit, alice: Caller, fields: dict[str, str], faulty: str, text: str
) -> None:
    visit.sign_in()
    before = visit.cookie()
    given = {"current_password": PASSWORD, "new_password": NEW, **fields}
    shown = visit.fill(CHANGE, **given)
    assert (shown.status, shown.fault(faulty).startswith(text)) == (422, True)
    assert PASSWORD not in shown.html
    assert NEW not in shown.html
    assert visit.cookie() == before
    assert visit.open("/account").status == 200


def test_an_account_without_a_password_is_told_the_way(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    change_user(app, alice.id, password_hash=None)
    shown = visit.open(CHANGE)
    assert "This account has no password" in shown.text
    assert 'href="/forgot-password"' in shown.html
    assert CHANGE not in [form.get("action") for form in shown.tree.iter("form")]


def test_password_managers_find_the_account(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = {f.get("autocomplete"): f for f in visit.open(CHANGE).tree.iter("input")}
    assert fields["username"].get("value") == "alice@example.com"
    assert {"current-password", "new-password"} <= fields.keys()


def test_it_leads_on_to_the_page_that_asked(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    with app.test_request_context():
        target = Continuation(TargetKind.PAGE, "pages.show_profile")
        token = write_continuation(target)
    page = visit.open(f"{CHANGE}?continue={token}")
    fields = {**page.form(CHANGE), "current_password": PASSWORD, "new_password": NEW}
    assert visit.send(CHANGE, fields).location == "/account/profile"
