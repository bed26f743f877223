"""Opening an account and asking for a new password, by the forms."""

from collections.abc import Callable

import pytest
import time_machine
from flask import Flask

from authserve.settings.model import EmailVerification, Registration
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller, register
from tests.support.mail import open_mailbox, work
from tests.support.rows import count_sessions

MAILED = "If alice@example.com can have an account here, a mail is on its way."


def sign_up(visit: Visit, **fields: str) -> Shown:
    """Send the form."""
    return visit.fill("/sign-up", **{"email": "alice@example.com", "password": PASSWORD, **fields})


def test_it_opens_an_account_and_signs_nobody_in(app: Flask, visit: Visit) -> None:
    shown = sign_up(visit, username="alice", display_name="Alice Liddell")
    assert MAILED in shown.text
    assert (visit.cookie(), count_sessions(app)) == (None, 0)
    assert visit.sign_in().title.startswith("Your account")


def test_a_reload_repeats_nothing(visit: Visit) -> None:
    fields = {"email": "alice@example.com", "password": PASSWORD}
    answer = visit.send("/sign-up", fields)
    assert answer.status == 303
    assert "alice" not in answer.location
    assert visit.follow(answer).text == visit.follow(answer).text


def test_no_link_makes_the_page_say_something(visit: Visit) -> None:
    sealed = visit.send("/forgot-password", {"email": "a@example.com"}).location.partition("=")[2]
    for notice in (sealed, sealed[:-4], "x", "é", "x" * 5_000):
        shown = visit.open("/sign-up", query_string={"notice": notice})
        assert shown.title.startswith("Create an account")


def test_it_offers_the_mail_again(app: Flask, visit: Visit) -> None:
    shown = sign_up(visit)
    again = visit.follow(visit.send("/verify-email/resend", shown.form("/verify-email/resend")))
    assert MAILED in again.text


def test_where_addresses_must_be_verified_known_and_unknown_look_alike(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(features=("pages",), email_verification=EmailVerification.REQUIRED)
    visit = Visit(app)
    assert "username" not in visit.open("/sign-up").form()
    first, second = (sign_up(visit).text for _ in range(2))
    assert first == second
    assert MAILED in first


def test_without_verification_no_mail_is_promised(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), email_verification=EmailVerification.OFF)
    shown = sign_up(Visit(app))
    assert "alice@example.com can sign in now." in shown.text


@pytest.mark.parametrize(
    ("fields", "name", "text"),
    [
        ({"email": "nonsense"}, "email", "That is not an email address."),
        ({"email": ""}, "email", "Fill this in."),
        ({"password": "password1"}, "password", "one of the most common ones"),
        ({"password": "Ab1"}, "password", "Use at least 8 characters."),
        ({"username": "a"}, "username", "3 to 32"),
        ({"email": "bob@example.com"}, "email", "This address has an account already."),
        ({"username": "bob"}, "username", "Another user has this name."),
    ],
)
def test_faults_stand_at_their_fields(
    visit: Visit, bob: Caller, fields: dict[str, str], name: str, text: str
) -> None:
    shown = sign_up(visit, **fields)
    assert shown.status == 422
    assert text in shown.fault(name)
    assert shown.form()["password"] == ""
    assert shown.form()["email"] == fields.get("email", "alice@example.com")


def test_a_domain_that_is_not_listed_is_named(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), registration_domains=("orchard.example",))
    visit = Visit(app)
    assert "It must end in one of: orchard.example" in visit.open("/sign-up").text
    assert sign_up(visit).fault("email")


def test_closed_registration_shows_words_and_no_form(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), registration=Registration.CLOSED)
    visit = Visit(app)
    assert visit.open("/sign-up").forms == []
    shown = visit.send("/sign-up", {"email": "alice@example.com", "password": PASSWORD})
    assert (shown.status, "by invitation only" in shown.text) == (422, True)


def test_a_forgotten_password_is_answered_alike_for_every_address(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    mailbox = open_mailbox(app)
    known = visit.fill("/forgot-password", email="alice@example.com").text
    unknown = visit.fill("/forgot-password", email="nemo@example.com").text
    assert known == unknown.replace("nemo", "alice")
    work(app)
    assert "new password" in mailbox.to("alice@example.com")[-1].subject
    assert mailbox.to("nemo@example.com") == []


def test_asking_too_often_is_explained(
    clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    register(app.test_client(), "alice")
    visit = Visit(app)
    for _ in range(6):
        shown = visit.fill("/forgot-password", email="alice@example.com")
    assert (shown.status, shown.alert) == (
        429,
        "There were too many attempts. Wait 60 minutes, then try again.",
    )
