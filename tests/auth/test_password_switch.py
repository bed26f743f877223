"""A hundred wrong passwords in a row switch a password off, but only for strangers."""

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.database.transactions import read_all, transaction
from authserve.passwords.hasher import PASSWORD_HASHER, PasswordHasher, Verification
from authserve.users.accounts import deactivate
from authserve.users.credentials import MAX_FAILED_SIGN_INS, find_credentials, get_credentials
from authserve.users.models import User
from authserve.users.passwords import count_wrong_password
from tests.conftest import CHEAP
from tests.factories import make_user
from tests.support.clients import PASSWORD, Caller
from tests.support.crowd import all_at_once
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions

Clock = time_machine.Traveller

NEW_PASSWORD = "another horse, another staple"
EMAIL = "alice@example.com"
SUBJECT = "Your password was switched off"

REQUEST = RequestInfo()


def addresses() -> Iterator[str]:
    """Yield client addresses without end, no two in one IPv6 network."""
    return (f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::1" for n in range(2**32))


STRANGERS = addresses()


def attempt(app: Flask, identifier: str, password: str = "wrong", **fields: Any) -> TestResponse:
    """A sign-in from an address that was never seen before."""
    body = {"identifier": identifier, "password": password, **fields}
    environ = {"REMOTE_ADDR": next(STRANGERS)}
    return app.test_client().post("/api/v1/auth/login", json=body, environ_overrides=environ)


def set_failures(app: Flask, count: int) -> None:
    """Set the number of consecutive wrong passwords of every account."""
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(failed_sign_ins=count))


def failures(app: Flask) -> int:
    with app.app_context():
        ((count,),) = read_all(select(User.failed_sign_ins).where(User.email == EMAIL))
    return int(count)


def letters(app: Flask, mailbox: Mailbox) -> list[str]:
    """Return the bodies of the mails that report a switch."""
    work(app)
    return [letter.text for letter in mailbox.to(EMAIL) if letter.subject == SUBJECT]


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@pytest.fixture
def switched_off(app: Flask, mailbox: Mailbox, alice: Caller) -> Caller:
    """Alice, whose password was switched off by the last of a hundred wrong ones."""
    set_failures(app, MAX_FAILED_SIGN_INS - 1)
    assert attempt(app, EMAIL).status_code == 401
    return alice


def transcript(app: Flask, clock: Clock, identifier: str, passwords: list[str]) -> list[Any]:
    """Return the answers to a caller that tries each password as soon as the throttle allows it."""
    told = []
    for password in passwords:
        response = attempt(app, identifier, password)
        while response.status_code == 429:
            wait = int(response.headers["Retry-After"])
            told.append((429, wait))
            clock.shift(wait)
            response = attempt(app, identifier, password)
        told.append((response.status_code, {**response.get_json(), "correlation_id": ""}))
    return told


def test_a_hundred_wrong_passwords_switch_it_off_and_notify_the_owner_alone(
    clock: Clock, app: Flask, mailbox: Mailbox, alice: Caller
) -> None:
    device = alice.tokens["device_token"]
    guesses = [f"guess {number}" for number in range(MAX_FAILED_SIGN_INS - 1)]
    known = transcript(app, clock, EMAIL, guesses)
    assert letters(app, mailbox) == []
    assert audit_trail(app, "user.password_disabled") == []
    known += transcript(app, clock, EMAIL, ["the last guess", PASSWORD, "wrong", PASSWORD])
    # No account has this address, and all the answers are the same.
    unknown = transcript(app, clock, "unknown@example.com", [*guesses, *["wrong"] * 4])
    assert known == unknown
    assert [status for status, _ in known].count(401) == MAX_FAILED_SIGN_INS + 3

    (letter,) = letters(app, mailbox)
    assert "ask for a new password" in letter
    (event,) = audit_trail(app, "user.password_disabled")
    assert event["outcome"] == "failure"
    (started, *_) = audit_trail(app, "session.started")
    assert event["subject_audit_id"] == started["subject_audit_id"]
    reasons = [e["details"]["reason"] for e in audit_trail(app, "session.sign_in_failed")]
    assert reasons[:100] == ["wrong_password"] * 100
    assert reasons[100:103] == ["password_disabled"] * 3
    assert attempt(app, EMAIL, PASSWORD, device_token=device).status_code == 200


def test_live_sessions_and_known_devices_keep_working(app: Flask, switched_off: Caller) -> None:
    tokens = switched_off.tokens
    assert switched_off.get("/api/v1/users/me").status_code == 200
    body = {"password": PASSWORD}
    assert switched_off.post("/api/v1/auth/reauthenticate", json=body).status_code == 200
    body = {"refresh_token": tokens["refresh_token"]}
    assert app.test_client().post("/api/v1/auth/refresh", json=body).status_code == 200
    device = tokens["device_token"]
    for identifier in (EMAIL, "alice"):
        answer = attempt(app, identifier, PASSWORD, device_token=device)
        assert answer.status_code == 200
        device = answer.get_json()["device_token"]
    # That does not switch it on for strangers.
    assert_problem(attempt(app, "alice", PASSWORD), 401, "invalid_credentials")
    assert failures(app) == MAX_FAILED_SIGN_INS


def test_recovery_by_mail_ends_in_a_sign_in_even_while_the_throttle_holds(
    clock: Clock, app: Flask, mailbox: Mailbox, switched_off: Caller
) -> None:
    client = app.test_client()
    for _ in range(5):
        attempt(app, EMAIL)
    assert attempt(app, EMAIL, PASSWORD).status_code == 429
    assert client.post("/api/v1/auth/password/forgot", json={"email": EMAIL}).status_code == 202
    work(app)
    body = {"token": mailbox.to(EMAIL)[-1].token, "new_password": NEW_PASSWORD}
    device = client.post("/api/v1/auth/password/reset", json=body).get_json()["device_token"]
    assert attempt(app, EMAIL, NEW_PASSWORD).status_code == 429
    assert attempt(app, EMAIL, NEW_PASSWORD, device_token=device).status_code == 200
    assert failures(app) == 0
    clock.shift(900)
    assert attempt(app, EMAIL, NEW_PASSWORD).status_code == 200


def test_a_new_password_switches_it_on_again(app: Flask, switched_off: Caller) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert switched_off.put("/api/v1/users/me/password", json=body).status_code == 204
    assert failures(app) == 0
    assert attempt(app, EMAIL, NEW_PASSWORD).status_code == 200


def test_an_administrator_sees_it(app: Flask, admin: Caller, switched_off: Caller) -> None:
    path = f"/api/v1/users/{switched_off.id}/sign-in-status"
    assert attempt(app, EMAIL, PASSWORD).status_code == 401
    status = admin.get(path).get_json()
    assert (status["can_sign_in"], status["reasons"]) == (False, ["password_disabled"])
    assert [failure["reason"] for failure in status["last_failures"]] == [
        "password_disabled",
        "wrong_password",
    ]
    assert status["mails"][0]["kind"] == "password_disabled"


@both_databases
def test_a_sign_in_begins_the_count_anew(app: Flask, alice: Caller) -> None:
    device = alice.tokens["device_token"]
    for fields in ({}, {"device_token": device}):
        set_failures(app, MAX_FAILED_SIGN_INS - 1)
        assert attempt(app, EMAIL, PASSWORD, **fields).status_code == 200
        assert failures(app) == 0


def test_both_names_count_and_a_known_device_does_not(app: Flask, alice: Caller) -> None:
    device = alice.tokens["device_token"]
    for name in (EMAIL, "alice", "Alice "):
        attempt(app, name)
    for name in (EMAIL, "alice", "unknown", "charlie@example.com"):
        attempt(app, name, device_token=device if name in (EMAIL, "alice") else "no token")
    assert failures(app) == 3


def test_what_the_throttle_refuses_is_not_counted(clock: Clock, app: Flask, alice: Caller) -> None:
    assert [attempt(app, EMAIL).status_code for _ in range(9)] == [401] * 5 + [429] * 4
    assert failures(app) == 5


def test_wrong_passwords_behind_a_token_count_and_the_right_one_keeps_working(
    clock: Clock, app: Flask, mailbox: Mailbox, alice: Caller
) -> None:
    set_failures(app, MAX_FAILED_SIGN_INS - 1)
    path = "/api/v1/auth/reauthenticate"
    assert_problem(alice.post(path, json={"password": "wrong"}), 403, "wrong_password")
    assert failures(app) == MAX_FAILED_SIGN_INS
    assert len(letters(app, mailbox)) == 1
    assert alice.post(path, json={"password": PASSWORD}).status_code == 200
    assert attempt(app, EMAIL, PASSWORD).status_code == 401


def test_a_caller_with_a_mailed_link_counts_as_a_stranger(
    app: Flask, mailbox: Mailbox, switched_off: Caller
) -> None:
    """The owner of a mistyped address has the link, and must not guess passwords with it."""
    work(app)
    token = mailbox.to(EMAIL)[0].token
    client, path = app.test_client(), "/api/v1/auth/email/verify"
    answer = client.post(path, json={"token": token, "password": PASSWORD})
    assert_problem(answer, 403, "wrong_password")
    assert switched_off.post(path, json={"token": token}).status_code == 204


@both_databases
def test_counting_changes_nothing_else_of_an_account(
    clock: Clock, app: Flask, switched_off: Caller
) -> None:
    before = switched_off.user["updated_at"]
    clock.shift(60)
    set_failures(app, 5)
    attempt(app, EMAIL)
    assert failures(app) == 6
    assert switched_off.get("/api/v1/users/me").get_json()["updated_at"] == before


@both_databases
@pytest.mark.usefixtures("context")
def test_a_count_is_of_one_password(app: Flask, alice: Caller) -> None:
    outdated = get_credentials(alice.id)
    with transaction() as session:
        session.execute(update(User).values(password_version=User.password_version + 1))
    with transaction():
        count_wrong_password(outdated, request=REQUEST)
    assert failures(app) == 0


@pytest.mark.usefixtures("context")
def test_without_a_password_there_is_nothing_to_switch_off(app: Flask, mailbox: Mailbox) -> None:
    make_user("alice")
    set_failures(app, MAX_FAILED_SIGN_INS - 1)
    assert attempt(app, EMAIL).status_code == 401
    assert failures(app) == MAX_FAILED_SIGN_INS - 1
    assert letters(app, mailbox) == []


def test_the_password_of_a_deactivated_account_is_switched_off_without_a_mail(
    app: Flask, mailbox: Mailbox, alice: Caller
) -> None:
    """Otherwise it would reveal a right guess for ever; a mail is no use, as no reset helps."""
    with app.app_context():
        deactivate(alice.id, actor=VISITOR, request=REQUEST)
    set_failures(app, MAX_FAILED_SIGN_INS - 1)
    assert_problem(attempt(app, EMAIL, PASSWORD), 403, "account_disabled")
    assert_problem(attempt(app, EMAIL), 401, "invalid_credentials")
    assert_problem(attempt(app, EMAIL, PASSWORD), 401, "invalid_credentials")
    assert letters(app, mailbox) == []
    assert len(audit_trail(app, "user.password_disabled")) == 1


class ObservedHasher(PasswordHasher):
    """A hasher that records the hashes it checks, and calls a function after each check."""

    def __init__(self) -> None:
        super().__init__(cost=CHEAP, niceness=0, queue_size=8)
        self.checked: list[str | None] = []
        self.then = lambda: None

    def verify(self, password: str, stored_hash: str | None, **kwargs: Any) -> Verification:
        self.checked.append(stored_hash)
        verification = super().verify(password, stored_hash, **kwargs)
        self.then()
        return verification


def test_a_password_that_is_switched_off_is_not_even_checked(
    app: Flask, switched_off: Caller
) -> None:
    """Otherwise the time of a rehash, or of another cost, would reveal a right one."""
    hasher = ObservedHasher()
    PASSWORD_HASHER.fill(app, hasher)
    attempt(app, EMAIL, PASSWORD)
    assert hasher.checked == [None]


@both_databases
def test_the_right_password_is_refused_that_was_being_checked_when_it_was_switched_off(
    app: Flask, alice: Caller
) -> None:
    set_failures(app, MAX_FAILED_SIGN_INS - 1)
    hasher = ObservedHasher()
    PASSWORD_HASHER.fill(app, hasher)

    def guess_elsewhere() -> None:
        with transaction():
            count_wrong_password(find_credentials(EMAIL), request=REQUEST)

    hasher.then = guess_elsewhere
    assert_problem(attempt(app, EMAIL, PASSWORD), 401, "invalid_credentials")
    assert count_sessions(app) == 1
    (failure,) = audit_trail(app, "session.sign_in_failed")
    assert failure["details"] == {"reason": "password_disabled"}


# Many callers at once.


@both_databases
def test_of_twenty_failures_at_once_one_switches_it_off(
    app: Flask, mailbox: Mailbox, alice: Caller
) -> None:
    set_failures(app, MAX_FAILED_SIGN_INS - 10)

    def count() -> None:
        with app.app_context(), transaction(durable=True):
            count_wrong_password(find_credentials(EMAIL), request=REQUEST)

    all_at_once([count] * 20)
    assert failures(app) == MAX_FAILED_SIGN_INS
    assert len(audit_trail(app, "user.password_disabled")) == 1
    assert len(letters(app, mailbox)) == 1


@both_databases
def test_a_count_that_rolls_back_switches_nothing_off(
    app: Flask, mailbox: Mailbox, alice: Caller
) -> None:
    set_failures(app, MAX_FAILED_SIGN_INS - 1)

    def count_and_fail() -> None:
        with transaction():
            count_wrong_password(find_credentials(EMAIL), request=REQUEST)
            raise ZeroDivisionError

    with app.app_context(), pytest.raises(ZeroDivisionError):
        count_and_fail()
    assert failures(app) == MAX_FAILED_SIGN_INS - 1
    assert letters(app, mailbox) == []
    assert audit_trail(app, "user.password_disabled") == []
