"""Signing in with a mailed code, by the forms."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller
from tests.support.factors import give_totp, switch_mfa_on
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.rows import audit_trail, change_user
from tests.support.totp import code_at

PATH, VERIFY = "/sign-in/email-code", "/sign-in/email-code/verify"
WRONG = "That code is wrong or no longer valid. Use the code from the newest mail."


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and mailed codes."""
    return make_app(features=("pages",), email_sign_in=True)


@pytest.fixture
def mailbox(app: Flask, alice: Caller) -> Mailbox:
    """The mails; Alice's address is verified."""
    change_user(app, alice.id, email_verified=True)
    return open_mailbox(app)


def ask(visit: Visit, email: str = "alice@example.com") -> Shown:
    """Ask for a code."""
    return visit.fill(PATH, email=email)


def newest_code(app: Flask, mailbox: Mailbox) -> str:
    """Deliver what is owed, and return the newest code."""
    work(app)
    return mailbox.to("alice@example.com")[-1].code


def test_a_code_signs_in(app: Flask, visit: Visit, mailbox: Mailbox) -> None:
    shown = ask(visit)
    assert "If alice@example.com has an account here, a mail is on its way." in shown.text
    code = newest_code(app, mailbox)
    wrong = visit.give(shown, code="00000000")
    assert (wrong.status, wrong.fault("code")) == (422, WRONG)
    done = visit.give(wrong, code=f"{code[:4]} {code[4:]}")
    assert done.title.startswith("Your account")
    details = audit_trail(app, "session.started")[-1]["details"]
    assert (details["kind"], details["amr"]) == ("browser", ["email"])
    assert [name for name in visit.cookie_names() if "flow" in name] == []


def test_known_and_unknown_addresses_look_alike(visit: Visit, mailbox: Mailbox) -> None:
    known, unknown = ask(visit), ask(visit, "nemo1@example.com")
    assert known.text == unknown.text.replace("nemo1", "alice")
    answers = [visit.give(shown, code="00000000").text for shown in (known, unknown)]
    assert answers[0] == answers[1]
    for _ in range(3):
        assert ask(visit).title == known.title


def test_a_code_opens_nothing_in_another_browser(
    app: Flask, visit: Visit, mailbox: Mailbox
) -> None:
    shown, thief = ask(visit), Visit(app)
    code = newest_code(app, mailbox)
    assert thief.give(ask(thief), code=code).fault("code") == WRONG
    assert visit.give(shown, code=code).title.startswith("Your account")


def test_a_code_leads_an_account_that_needs_a_factor_to_its_set_up(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox
) -> None:
    switch_mfa_on(app, alice.id)
    shown = visit.give(ask(visit), code=newest_code(app, mailbox))
    assert shown.title.startswith("Set up a passkey")
    assert "email_code" not in shown.form()
    assert len([name for name in visit.cookie_names() if "flow" in name]) == 1


def test_a_flow_of_another_step_starts_again(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox
) -> None:
    secret = give_totp(app, alice.id)
    pending = visit.sign_in().form()["pending"]
    start = visit.follow(visit.send(VERIFY, {"pending": pending, "code": "00000000"}))
    assert start.alert == "This sign-in is over. Start again."
    asked = ask(visit, "nemo2@example.com").form()["pending"]
    fields = {"pending": asked, "code": code_at(secret, now())}
    start = visit.follow(visit.send("/sign-in/second-step/totp", fields))
    assert start.alert == "This sign-in is over. Start again."


def test_too_many_wrong_codes_are_told(
    clock: time_machine.Traveller, app: Flask, visit: Visit, mailbox: Mailbox
) -> None:
    shown = ask(visit)
    for _ in range(5):
        visit.give(shown, code="00000000")
    refused = visit.give(shown, code=newest_code(app, mailbox))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
    clock.shift(timedelta(seconds=31))
    assert visit.give(shown, code="00000000").status == 422


def test_without_the_setting_the_pages_do_not_exist(make_app: Callable[..., Flask]) -> None:
    visit = Visit(make_app(features=("pages",), email_sign_in=False))
    assert PATH not in visit.open("/sign-in").html
    for path in (PATH, VERIFY):
        assert (visit.open(path).status, visit.send(path, {}).status) == (404, 404)


def test_a_page_without_a_flow_starts_again(visit: Visit) -> None:
    for shown in (visit.open(VERIFY), visit.send(VERIFY, {"code": "00000000"})):
        assert visit.follow(shown).alert == "This sign-in is over. Start again."
