"""The overview of the account, its events in words, and the question about a new sign-in."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask

from authserve.audit.own_events import ActivityEvent
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.transactions import db
from authserve.http.pagination import encode_cursor
from authserve.pages.event_texts import TEXTS, describe_action, find_event_icon
from authserve.web.rendering import TEMPLATES
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller, login
from tests.support.databases import executed
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.rows import audit_trail, change_session, change_user, live_session_row
from tests.support.trail import write_events

ANSWER = "/account/activity/answer"
QUESTION = "New sign-in to your account"

CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML) Chrome/142.0 Safari/537.36"


@pytest.fixture
def stranger(app: Flask, visit: Visit, clock: time_machine.Traveller, alice: Caller) -> str:
    """The session of a sign-in from a new device, after Alice's own in this browser."""
    visit.sign_in()
    clock.shift(timedelta(minutes=1))
    client = app.test_client()
    client.environ_base.update(REMOTE_ADDR="203.0.113.58", HTTP_USER_AGENT=CHROME)
    session_id: str = login(client, "alice").get_json()["session_id"]
    return session_id


def answer(visit: Visit, choice: str, **fields: str) -> Shown:
    """Press a button of the question."""
    form = {**visit.open("/account").form(ANSWER), "answer": choice, **fields}
    return visit.send(ANSWER, form)


def test_it_shows_how_and_where_the_user_signs_in(app: Flask, visit: Visit, alice: Caller) -> None:
    text = visit.sign_in().text
    assert QUESTION not in text
    for fact in (
        "Your password alone opens your account.",
        "Password Opens your account together with your address. On",
        "Authenticator app Shows a new code of 6 digits every 30 seconds. Off",
        "Nothing to type, nothing to phish. Off",
        "Firefox This browser 127.0.0.1",
        "You signed in from a new device Firefox · 127.0.0.1",
        "Your account was created",
    ):
        assert fact in text
    assert "Recovery codes" not in text
    give_totp(app, alice.id)
    give_recovery_codes(app, alice.id)
    change_user(app, alice.id, password_hash=None)
    change_session(app, visit.session_id, aal=2)
    text = visit.open("/account").text
    for fact in (
        "At every sign-in, you are asked for your app or a passkey.",
        "Password This account has none. A link from a mail sets one. Off",
        "Authenticator app Shows a new code of 6 digits every 30 seconds. On",
        "Recovery codes 1 of 10 left. Each signs you in once",
    ):
        assert fact in text


@pytest.mark.parametrize("has_question", [False, True])
def test_it_takes_five_statements(
    app: Flask, visit: Visit, stranger: str, bob: Caller, has_question: bool
) -> None:
    if not has_question:
        answer(visit, "mine")
    with app.app_context():
        # Events by another user, whose id the page does not look up.
        write_events(3)
        with executed(db.engine) as statements:
            shown = visit.open("/account")
    assert (QUESTION in shown.text) is has_question
    # And the check of the cookie, which is not recorded.
    assert len(statements) + 1 == 5, statements


def test_a_new_sign_in_is_asked_about_until_it_is_the_users_own(
    app: Flask, visit: Visit, stranger: str
) -> None:
    assert f"{QUESTION} Chrome on Windows, from 203.0.113.58 , 20" in visit.open("/account").text
    shown = visit.follow(answer(visit, "mine"))
    assert "Thank you. That sign-in is noted as yours." in shown.text
    assert QUESTION not in shown.text
    assert QUESTION not in visit.open("/account").text
    assert live_session_row(app, stranger)["revoked_at"] is None


def test_a_stranger_is_signed_out_and_the_password_comes_next(
    app: Flask, visit: Visit, stranger: str
) -> None:
    shown = visit.follow(answer(visit, "stranger"))
    assert shown.response.request.path == "/account/password"
    assert "That session is signed out. Set a new password now" in shown.text
    assert live_session_row(app, stranger)["revoke_reason"] == "ended_by_user"
    assert len(audit_trail(app, "activity.disowned")) == 1
    fields = {**shown.form("/account/password"), "current_password": PASSWORD}
    done = visit.send("/account/password", {**fields, "new_password": "another horse, a staple"})
    assert done.location == "/account/sessions"
    assert QUESTION not in visit.open("/account").text


def test_without_a_password_the_other_sessions_come_next(
    app: Flask, visit: Visit, stranger: str, alice: Caller
) -> None:
    change_user(app, alice.id, password_hash=None)
    shown = visit.follow(answer(visit, "stranger"))
    assert shown.response.request.path == "/account/sessions"
    assert "Sign out every other one that you do not know." in shown.text
    assert shown.form("/account/sessions/end-others")


def test_a_second_press_does_no_more(app: Flask, visit: Visit, stranger: str) -> None:
    form = {**visit.open("/account").form(ANSWER), "answer": "stranger"}
    for _ in range(2):
        assert visit.send(ANSWER, form).status == 303
    assert len(audit_trail(app, "activity.disowned")) == 1


def test_an_answer_is_of_the_user_and_of_the_form(
    app: Flask, visit: Visit, stranger: str, bob: Caller
) -> None:
    form = {**visit.open("/account").form(ANSWER), "answer": "stranger"}
    other = Visit(app)
    assert other.send(ANSWER, form).location.startswith("/sign-in?continue=")
    other.sign_in("bob")
    token = other.open("/account").form("/sign-out")["token"]
    assert other.send(ANSWER, {**form, "token": token}).status == 404
    assert visit.send(ANSWER, {**form, "token": token}).status == 403
    for fault in ({"answer": "x"}, {"sign_in": "x"}, {"answer": ""}, {"surprise": "1"}):
        assert visit.send(ANSWER, {**form, **fault}).status == 422
    assert visit.send(ANSWER, {**form, "sign_in": str(uuid4())}).status == 404
    assert visit.send(ANSWER, form, headers={"Origin": "https://evil.example"}).status == 403
    assert visit.open(ANSWER).status == 405
    assert live_session_row(app, stranger)["revoked_at"] is None


def test_older_events_follow_page_by_page(
    app: Flask, visit: Visit, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserve.pages.account_activity.DEFAULT_LIMIT", 2)
    visit.sign_in()
    path, texts = "/account/activity", []
    for _ in range(5):
        shown = visit.open(path)
        texts += [element.text for element in shown.tree.iterfind(".//main//h3")]
        links = {link.text: link.get("href") for link in shown.tree.iterfind(".//main//a")}
        if "Older events" not in links:
            break
        path = links["Older events"] or ""
    assert texts == [
        "You signed in from a new device",
        "You signed in",
        "Your account was created",
    ]
    assert links == {"Newest events": "/account/activity"}
    end = visit.open(f"/account/activity?cursor={encode_cursor(UUID(int=0))}")
    assert "There are no older events." in end.text
    for wrong in ("x", "", "é", encode_cursor("alice")):
        shown = visit.open("/account/activity", query_string={"cursor": wrong, "limit": "1"})
        assert shown.status == 200
        assert shown.tree.find(".//main//h2").text == "Newest events"  # type: ignore[union-attr]


def test_the_reference_of_a_request_is_under_the_details(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    event = audit_trail(app, "session.started")[-1]
    (details, *_) = visit.open("/account/activity").tree.iterfind(".//main//details")
    assert [code.text for code in details.iter("code")] == [event["correlation_id"]]


def test_what_an_administrator_did_has_no_address(
    app: Flask, visit: Visit, alice: Caller, admin: Caller
) -> None:
    admin.patch(f"/api/v1/users/{alice.id}", json={"display_name": "Alice"})
    visit.sign_in()
    assert (
        "Your profile was changed By an administrator Details"
        in visit.open("/account/activity").text
    )
    visit.client.delete_cookie("authserve")
    visit.sign_in("admin")
    text = visit.open("/account/activity").text
    assert "You changed the profile of another user werkzeug · 127.0.0.1" in text
    assert "alice" not in text


def event_of(action: str, *, is_about_another: bool = False, **details: object) -> ActivityEvent:
    return ActivityEvent(
        id=uuid4(),
        occurred_at=now(),
        action=action,
        outcome="success",
        is_by_another=False,
        is_about_another=is_about_another,
        ip=None,
        user_agent=None,
        correlation_id=None,
        details=details,
    )


def test_every_action_has_words_and_a_picture(app: Flask) -> None:
    assert set(TEXTS) == set(AuditAction)
    icons = TEMPLATES.of(app).get_template("icons.html").module
    for action in AuditAction:
        assert describe_action(event_of(action)) == TEXTS[action]
        assert describe_action(event_of(action, is_about_another=True)).startswith("You ")
        assert hasattr(icons, find_event_icon(event_of(action)))


@pytest.mark.parametrize(
    ("action", "outcome", "icon"),
    [
        ("session.sign_in_failed", "failure", "cross"),
        ("user.email_changed", "success", "mail"),
        ("user.password_changed", "success", "lock"),
        ("session.started", "success", "done"),
        ("oauth.code_reused", "success", "code"),
        ("user.registered", "success", "person"),
    ],
)
def test_a_picture_shows_the_kind_of_event(action: str, outcome: str, icon: str) -> None:
    assert find_event_icon(replace(event_of(AuditAction(action)), outcome=outcome)) == icon


@pytest.mark.parametrize(
    ("action", "details", "text"),
    [
        ("session.started", {"known_device": False}, "You signed in from a new device"),
        ("session.revoked", {"reason": "logout"}, "You signed out"),
        ("session.revoked", {"reason": "ended_by_admin"}, "Sessions were signed out"),
        ("factor.added", {"factor": "passkey"}, "A passkey was added"),
        ("factor.removed", {"factor": "totp"}, "An authenticator app was removed"),
    ],
)
def test_some_details_have_words_of_their_own(
    action: str, details: dict[str, object], text: str
) -> None:
    assert describe_action(event_of(action, **details)) == text
