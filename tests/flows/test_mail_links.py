"""Journeys from the links in mails."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserve.settings.model import EmailVerification
from tests.support.clients import PASSWORD, Caller, login, register
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases

NEW_PASSWORD = "another horse, another staple"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@both_databases
def test_it_verifies_an_address_with_the_session(
    app: Flask, mailbox: Mailbox, alice: Caller, charlie: Caller
) -> None:
    work(app)
    token = mailbox.to("alice@example.com")[0].token
    verify = "/api/v1/auth/email/verify"

    assert charlie.post(verify, json={"token": token}).status_code == 400
    assert app.test_client().post(verify, json={"token": token}).status_code == 422
    wrong = app.test_client().post(verify, json={"token": token, "password": "no"})
    assert wrong.get_json()["code"] == "wrong_password"
    assert alice.post(verify, json={"token": token}).status_code == 204
    assert alice.post(verify, json={"token": token}).status_code == 400
    assert alice.get("/api/v1/users/me").get_json()["email_verified"] is True


def test_it_resets_a_password(app: Flask, mailbox: Mailbox, alice: Caller) -> None:
    client = app.test_client()
    for _ in range(2):
        assert (
            client.post(
                "/api/v1/auth/password/forgot", json={"email": "Alice@example.com"}
            ).status_code
            == 202
        )
    work(app)
    letters = [
        letter for letter in mailbox.to("alice@example.com") if "new password" in letter.subject
    ]
    assert len(letters) == 1

    reset = "/api/v1/auth/password/reset"
    weak = client.post(reset, json={"token": letters[0].token, "new_password": "password1"})
    assert weak.status_code == 422
    assert list(weak.get_json()["errors"]) == ["new_password"]
    body = {"token": letters[0].token, "new_password": NEW_PASSWORD}
    done = client.post(reset, json=body)
    assert sorted(done.get_json()) == ["device_token"]
    assert client.post(reset, json=body).get_json()["code"] == "invalid_or_expired_token"

    assert alice.get("/api/v1/users/me").status_code == 401
    assert login(client, "alice", NEW_PASSWORD).status_code == 200
    work(app)
    assert mailbox.to("alice@example.com")[-1].subject == "Your password was changed"


def test_it_changes_an_address(app: Flask, mailbox: Mailbox, alice: Caller) -> None:
    asked = alice.post("/api/v1/users/me/email", json={"new_email": "liddell@example.com"})
    assert (asked.status_code, asked.get_json()) == (202, {})
    work(app)
    assert (
        mailbox.to("alice@example.com")[-1].subject
        == "A change of your email address was requested"
    )
    token = mailbox.to("liddell@example.com")[0].token

    confirm = "/api/v1/users/me/email/confirm"
    body = {"token": token, "password": PASSWORD}
    assert app.test_client().post(confirm, json=body).status_code == 204
    assert alice.get("/api/v1/users/me").get_json()["email"] == "liddell@example.com"
    work(app)
    assert mailbox.to("alice@example.com")[-1].subject == "Your email address was changed"


@pytest.mark.parametrize("known", [False, True])
def test_it_answers_alike_for_known_addresses(make_app, known: bool) -> None:
    app = make_app(email_verification=EmailVerification.REQUIRED)
    mailbox = open_mailbox(app)
    client: FlaskClient = app.test_client()
    body = {"email": "alice@example.com", "password": PASSWORD}
    for _ in range(1 + known):
        response = client.post("/api/v1/auth/register", json=body)
        assert (response.status_code, response.get_json()) == (202, {})
    assert register(client, "bob").status_code == 422
    assert login(client, "alice@example.com").get_json()["code"] == "email_not_verified"
    work(app)
    subjects = [letter.subject for letter in mailbox.to("alice@example.com")]
    expected = ["Verify your email address", "You have an account already"]
    assert subjects == expected[: 1 + known]
