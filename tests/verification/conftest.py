"""Fixtures of tests about one-time links: asked for and followed as people do."""

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.actor import UserRef
from authserve.verification.policy import Purpose
from authserve.verification.requests import invite
from authserve.verification.tokens import PAGES
from tests.factories import make_user
from tests.support.clients import PASSWORD, Caller
from tests.support.mail import Letter, Mailbox, open_mailbox, work

NEW_PASSWORD = "another horse, another staple"

NEW_EMAIL = "liddell@example.com"

PATHS = {
    Purpose.VERIFY_EMAIL: "/api/v1/auth/email/verify",
    Purpose.RESET_PASSWORD: "/api/v1/auth/password/reset",
    Purpose.CHANGE_EMAIL: "/api/v1/users/me/email/confirm",
    Purpose.INVITATION: "/api/v1/auth/invitation/accept",
}

SUCCESS = {
    Purpose.VERIFY_EMAIL: 204,
    Purpose.RESET_PASSWORD: 200,
    Purpose.CHANGE_EMAIL: 204,
    Purpose.INVITATION: 200,
}

RECIPIENTS = {
    Purpose.VERIFY_EMAIL: "alice@example.com",
    Purpose.RESET_PASSWORD: "alice@example.com",
    Purpose.CHANGE_EMAIL: NEW_EMAIL,
    Purpose.INVITATION: "dora@example.com",
}


def body_for(purpose: Purpose, token: str, **changes: Any) -> dict[str, Any]:
    """Return the body of a valid call."""
    secrets = {
        Purpose.VERIFY_EMAIL: {"password": PASSWORD},
        Purpose.RESET_PASSWORD: {"new_password": NEW_PASSWORD},
        Purpose.CHANGE_EMAIL: {"password": PASSWORD},
        Purpose.INVITATION: {"password": NEW_PASSWORD},
    }
    return {"token": token, **secrets[purpose], **changes}


@dataclass
class Desk:
    """An application in which Alice, who has an account, and Dora, who is invited, get links."""

    app: Flask
    mailbox: Mailbox
    alice: Caller
    dora: UserRef

    @property
    def client(self) -> FlaskClient:
        """An anonymous client."""
        return self.app.test_client()

    def request(self, purpose: Purpose) -> None:
        """Request a link; it is not sent yet."""
        if purpose is Purpose.INVITATION:
            with self.app.app_context():
                invite(self.dora, RECIPIENTS[purpose])
            return
        if purpose is Purpose.CHANGE_EMAIL:
            answer = self.alice.post("/api/v1/users/me/email", json={"new_email": NEW_EMAIL})
        else:
            is_reset = purpose is Purpose.RESET_PASSWORD
            call = "password/forgot" if is_reset else "email/verify/resend"
            answer = self.client.post(f"/api/v1/auth/{call}", json={"email": RECIPIENTS[purpose]})
        assert (answer.status_code, answer.get_json()) == (202, {})

    def letters(self, purpose: Purpose) -> list[Letter]:
        """The mails with links of a purpose, oldest first."""
        arrived = self.mailbox.to(RECIPIENTS[purpose])
        return [letter for letter in arrived if f"{PAGES[purpose]}#" in letter.text]

    def ask(self, purpose: Purpose) -> str:
        """Request a link, read the mail and return the token."""
        before = len(self.letters(purpose))
        self.request(purpose)
        work(self.app)
        found = self.letters(purpose)
        assert len(found) == before + 1
        return found[-1].token

    def follow(self, purpose: Purpose, token: str, **changes: Any) -> TestResponse:
        """Follow a link, with the proof that it requires."""
        return self.client.post(PATHS[purpose], json=body_for(purpose, token, **changes))

    def is_good(self, purpose: Purpose, token: str) -> bool:
        """Return True if a link still works; this spends it."""
        answer = self.follow(purpose, token)
        if answer.status_code == SUCCESS[purpose]:
            return True
        assert answer.get_json()["code"] == "invalid_or_expired_token", answer.get_json()
        assert answer.status_code == 400
        return False


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@pytest.fixture
def desk(app: Flask, mailbox: Mailbox, alice: Caller) -> Desk:
    """Alice's first mail, which came with the account, is read already."""
    with app.app_context():
        dora = make_user("dora")
    work(app)
    mailbox.letters.clear()
    return Desk(app, mailbox, alice, dora)
