"""Facts that neither the database nor an answer reveals: secrets, and who has an account."""

import logging
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.database.statements import Base
from authserve.database.transactions import read_all
from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.message import OutgoingMail
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import deactivate
from authserve.verification.policy import Purpose
from tests.support.clients import PASSWORD, Caller
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.observing import answer_of, observed
from tests.support.people import make_user
from tests.verification.conftest import NEW_EMAIL, NEW_PASSWORD, Desk


def everything_stored(app: Flask) -> str:
    """Every value of every row of every table."""
    with app.app_context():
        return "\n".join(
            repr(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in read_all(select(table))
        )


def test_nothing_that_is_stored_or_logged_opens_an_account(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [desk.ask(purpose) for purpose in Purpose]
    stored = everything_stored(desk.app)
    answer = desk.follow(Purpose.RESET_PASSWORD, tokens[1])
    secrets = [*tokens, answer.get_json()["device_token"], PASSWORD, NEW_PASSWORD]
    secrets += [desk.alice.tokens["access_token"], desk.alice.tokens["refresh_token"]]
    # The first 22 letters of a link's token are its row's id, which is no secret.
    secrets += [token[22:] for token in tokens]
    told = stored + everything_stored(desk.app) + caplog.text
    assert "alice@example.com" in stored
    assert [secret for secret in secrets if secret in told] == []


class Unreachable(Mailbox):
    """A mail server that a request must not contact: it would refuse, or hang."""

    def send(self, mail: OutgoingMail) -> None:
        raise AssertionError("a request has sent a mail itself")


ADDRESSES = {
    "unverified": "alice@example.com",
    "verified": "vera@example.com",
    "deactivated": "dan@example.com",
    "without a password": "dora@example.com",
    "unknown": "unknown@example.com",
}


@pytest.fixture
def people(desk: Desk) -> Desk:
    """An account for each of `ADDRESSES` but the last, and no mail server."""
    with desk.app.app_context():
        make_user("vera", email_verified=True)
        deactivate(make_user("dan").id, actor=VISITOR, request=RequestInfo())
    MAILER.fill(desk.app, Mailer(SETTINGS.of(desk.app), Unreachable()))
    return desk


@pytest.mark.parametrize("call", ["email/verify/resend", "password/forgot"])
def test_asking_for_a_link_reveals_nothing_about_the_address(people: Desk, call: str) -> None:
    path, client = f"/api/v1/auth/{call}", people.client
    client.post(path, json={"email": "warm@example.com"})
    found = {
        kind: observed(people.app, lambda e=email: client.post(path, json={"email": e}))
        for kind, email in ADDRESSES.items()
    }
    for kind in ADDRESSES:
        assert found[kind] == found["unknown"], kind
    assert found["unknown"][0][0] == 202
    assert len(found["unknown"][1]) >= 3


def test_asking_again_reveals_nothing_either(people: Desk) -> None:
    """Now there are links to supersede and messages to drop, or not."""
    path, client = "/api/v1/auth/password/forgot", people.client
    found = []
    for _ in range(3):
        for email in (ADDRESSES["verified"], ADDRESSES["unknown"]):
            found.append(observed(people.app, lambda e=email: client.post(path, json={"email": e})))
        open_mailbox(people.app)
        work(people.app)
    assert all(each == found[0] for each in found[1:])


def test_asking_for_another_address_reveals_nothing_about_it(people: Desk) -> None:
    def ask(email: str) -> TestResponse:
        return people.alice.post("/api/v1/users/me/email", json={"new_email": email})

    ask("warm@example.com")
    found = {email: observed(people.app, lambda e=email: ask(e)) for email in ADDRESSES.values()}
    assert all(each == found["unknown@example.com"] for each in found.values())
    assert found["unknown@example.com"][0][0] == 202


def test_registering_reveals_nothing_while_addresses_must_be_verified(
    make_app: Callable[..., Flask], people: Desk
) -> None:
    app = make_app(email_verification=EmailVerification.REQUIRED)
    MAILER.fill(app, Mailer(SETTINGS.of(app), Unreachable()))
    client = app.test_client()

    def register(email: str) -> tuple[Any, ...]:
        body = {"email": email, "password": NEW_PASSWORD}
        return answer_of(client.post("/api/v1/auth/register", json=body))

    found = {kind: register(email) for kind, email in ADDRESSES.items()}
    assert all(each == found["unknown"] for each in found.values())
    assert found["unknown"][0] == 202
    # Only the owner is notified.
    mailbox = open_mailbox(app)
    work(app)
    subjects = {
        kind: [letter.subject for letter in mailbox.to(email)] for kind, email in ADDRESSES.items()
    }
    assert subjects.pop("unknown") == ["Verify your email address"]
    assert all(subject == ["You have an account already"] for subject in subjects.values())


def test_no_display_name_adds_anything_to_a_strangers_mail(app: Flask, alice: Caller) -> None:
    """A visitor chooses the account's name, and the recipient of the mail."""
    mailbox = open_mailbox(app)
    work(app)
    plain = mailbox.letters[0]
    odd_names = [
        "<a href='https://evil.example'>click</a>",
        "https://evil.example/?a=b",
        "evil.example",
        "\\r\\nBcc: bob@example.com",
        "{{ settings }} {% for %} ${7*7} %s",
        '"; <script>',
        "call 0800-123456",
    ]
    for number, name in enumerate(odd_names):
        email = f"victim{number}@example.com"
        body = {"email": email, "password": PASSWORD, "display_name": name}
        assert app.test_client().post("/api/v1/auth/register", json=body).status_code == 201
        work(app)
        (letter,) = mailbox.to(email)
        assert letter.message.keys() == plain.message.keys()
        for found, usual in zip(_bodies(letter.message), _bodies(plain.message), strict=True):
            for sign in ("://", "<", "evil.", "@", "{", "%", "0800"):
                assert found.count(sign) == usual.count(sign), (name, sign)


def _bodies(message: EmailMessage) -> list[str]:
    found = [message.get_body((kind,)) for kind in ("plain", "html")]
    return [str(body.get_content()) for body in found if body is not None]


def test_the_new_address_is_not_revealed_to_the_old_one(desk: Desk) -> None:
    desk.ask(Purpose.CHANGE_EMAIL)
    notices = desk.mailbox.to("alice@example.com")
    assert notices
    assert all(NEW_EMAIL not in notice.message.as_string() for notice in notices)
