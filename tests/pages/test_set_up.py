"""Setting up the first second factor during a sign-in, by the forms."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from authserve.settings.model import EmailVerification, Mfa
from tests.support.authenticator import Authenticator
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller, register_caller
from tests.support.factors import give_totp, switch_mfa_on
from tests.support.mail import Mailbox, open_mailbox
from tests.support.passkeys import ORIGIN
from tests.support.rows import audit_trail
from tests.support.totp import code_at, mailed_code

SET_UP = "/sign-in/set-up"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@pytest.fixture
def enrolling(app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox) -> Shown:
    """The first page after Alice's password, whose account needs a factor and has none."""
    switch_mfa_on(app, alice.id)
    return visit.sign_in()


def test_an_app_is_set_up_and_the_codes_are_shown_once(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox, enrolling: Shown
) -> None:
    assert enrolling.title.startswith("Add a second step")
    shown = visit.give(enrolling)
    secret = shown.form()["secret"]
    assert f"secret={secret}" in shown.html
    assert "<svg" in shown.html
    code = mailed_code(app, mailbox, alice)
    fields = {**shown.form(), "code": code_at(secret, now()), "email_code": code}
    done = visit.send(SET_UP, fields)
    assert done.title.startswith("Save your recovery codes")
    assert len([item for item in done.tree.iter("li") if item.find("code") is not None]) == 10
    assert audit_trail(app, "session.started")[-1]["details"]["acr"] == "aal2"
    again = visit.follow(visit.send(SET_UP, fields))
    assert again.title.startswith("Your account")


def test_a_mistyped_code_keeps_the_secret_and_tells_the_tries(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox, enrolling: Shown
) -> None:
    shown = visit.give(enrolling)
    secret, code = shown.form()["secret"], mailed_code(app, mailbox, alice)
    missing = visit.give(shown, code="", email_code="")
    assert missing.fault("code") == "Fill this in."
    missing = visit.give(missing, code=code_at(secret, now()))
    assert missing.fault("email_code") == "Fill this in."
    wrong = visit.give(missing, code=code_at(secret, now()), email_code="00000000")
    assert wrong.alert == "A code is not right. Use the newest one. 4 tries are left."
    assert wrong.form()["secret"] == secret
    done = visit.give(wrong, code=code_at(secret, now()), email_code=f"{code[:4]} {code[4:]}")
    assert done.title.startswith("Save your recovery codes")


def test_a_passkey_is_set_up(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox, enrolling: Shown
) -> None:
    (link,) = [a.attrib["href"] for a in enrolling.tree.iter("a") if "method=" in a.attrib["href"]]
    shown = visit.open(link)
    (form,) = [each for each in shown.tree.iter("form") if each.get("data-passkey") == "create"]
    answer = Authenticator(ORIGIN).create(json.loads(form.attrib["data-options"]))
    code = mailed_code(app, mailbox, alice)
    refused = visit.give(shown, email_code=code)
    assert refused.title.startswith("Set up a passkey")
    refused = visit.give(shown, email_code=code, credential="{}")
    assert refused.alert.startswith("The passkey was not used.")
    done = visit.give(shown, email_code=code, credential=json.dumps(answer))
    assert done.title.startswith("Save your recovery codes")
    assert audit_trail(app, "factor.added")[-1]["details"]["factor"] == "passkey"


def test_a_set_up_that_another_replaced_begins_again(
    clock: time_machine.Traveller,
    app: Flask,
    visit: Visit,
    alice: Caller,
    mailbox: Mailbox,
    enrolling: Shown,
) -> None:
    shown = visit.give(enrolling)
    code = mailed_code(app, mailbox, alice)
    other = Visit(app)
    other.give(other.sign_in())
    again = visit.give(shown, code="123456", email_code=code)
    assert again.alert == "This set-up is no longer valid. Begin it again."
    assert "secret" not in again.form(SET_UP)
    clock.shift(timedelta(minutes=16))
    assert visit.give(again).alert == "It took too long. Start again."


def test_an_account_that_has_a_factor_by_now_starts_again(
    app: Flask, visit: Visit, alice: Caller, enrolling: Shown
) -> None:
    give_totp(app, alice.id)
    assert visit.give(enrolling).alert == "This sign-in is over. Start again."


def test_without_verified_addresses_no_mailed_code_is_asked_for(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(features=("pages",), email_verification=EmailVerification.OFF)
    switch_mfa_on(app, register_caller(app, "alice").id)
    visit = Visit(app)
    shown = visit.give(visit.sign_in())
    assert "email_code" not in shown.form()
    done = visit.give(shown, code=code_at(shown.form()["secret"], now()))
    assert done.title.startswith("Save your recovery codes")


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "recovery_code"},
        {"method": "sms"},
        {"method": "totp", "secret": "<b>", "code": "123456"},
        {"method": "totp", "secret": "A" * 31 + "1", "code": "123456"},
        {"method": "totp", "surprise": "1"},
        {},
    ],
)
def test_other_input_shows_the_methods_again(
    visit: Visit, enrolling: Shown, fields: dict[str, str]
) -> None:
    pending = enrolling.form(SET_UP)["pending"]
    shown = visit.send(SET_UP, {"pending": pending, **fields})
    assert (shown.status, shown.title) == (422, "Error: Add a second step – localhost")


def test_a_page_without_a_flow_starts_again(visit: Visit) -> None:
    for shown in (visit.open(SET_UP), visit.send(SET_UP, {"method": "totp"})):
        assert visit.follow(shown).alert == "This sign-in is over. Start again."


def test_until_the_date_the_account_opens_and_tells_it(
    clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    enroll_by = now() + timedelta(days=7)
    app = make_app(features=("pages",), mfa=Mfa.REQUIRED, mfa_enroll_by=enroll_by)
    register_caller(app, "alice")
    visit = Visit(app)
    shown = visit.sign_in()
    wanted = (
        f"From {enroll_by:%Y-%m-%d %H:%M} UTC on, this account opens only with a second factor."
    )
    assert wanted in shown.text
    clock.shift(timedelta(days=7))
    assert visit.sign_in().title.startswith("Add a second step")
