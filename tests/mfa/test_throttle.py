"""The throttle of second factors, as callers who know the password see it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.database.transactions import read_all, transaction
from authserve.ratelimit.models import RateCounter
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS
from authserve.users.models import User
from tests.support.clients import PASSWORD, Caller
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import give_passkey, passkey_login
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, counters
from tests.support.second_steps import (
    after_second_step,
    first_step,
    second_step,
    sign_in_with_totp,
    verification_answer,
    wrong_code,
)
from tests.support.totp import code_at

Clock = time_machine.Traveller

# First, or a device token of Alice would be years old.
pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def secret(clock: Clock, app: Flask, alice: Caller) -> bytes:
    """Alice's TOTP secret; time stands still."""
    return give_totp(app, alice.id)


@pytest.fixture
def device_token(app: Flask, secret: bytes, alice: Caller) -> str:
    """Of a device on which Alice has completed a second step."""
    return after_second_step(app, alice.tokens["device_token"])


def fail(client: FlaskClient, secret: bytes, times: int, **options: Any) -> list[int]:
    """Sign in with wrong codes, each after the right password."""
    tokens = [first_step(client, "alice", **options) for _ in range(times)]
    return [
        second_step(client, token, totp_code=wrong_code(secret)).status_code for token in tokens
    ]


def warnings(mailbox: Mailbox) -> list[str]:
    """The subjects of the mails about wrong second factors."""
    subjects = [letter.subject for letter in mailbox.letters]
    return [each for each in subjects if "wrong codes" in each or "switched off" in each]


def failed_in_a_row(app: Flask) -> int:
    with app.app_context():
        return int(read_all(select(User.failed_second_factors))[0][0])


def test_after_five_wrong_ones_every_proof_waits(
    app: Flask, alice: Caller, clock: Clock, secret: bytes
) -> None:
    client, key = app.test_client(), give_passkey(app, alice.id)
    (recovery_code,) = give_recovery_codes(app, alice.id)
    assert fail(client, secret, 5) == [401] * 5
    token = first_step(client, "alice")
    proofs: list[dict[str, Any]] = [
        {"totp_code": code_at(secret, now())},
        {"recovery_code": recovery_code},
        {"credential": verification_answer(app, token, alice.id, key)},
        {"totp_code": wrong_code(secret)},
    ]
    for proof in proofs:
        response = second_step(client, token, **proof)
        assert_problem(response, 429, "too_many_attempts")
        assert response.headers["Retry-After"] == "30"
    # The passkey by itself is no second step, and no stranger has it.
    assert passkey_login(client, key).status_code == 200
    clock.shift(timedelta(seconds=30))
    assert second_step(client, token, recovery_code=recovery_code).status_code == 200


def test_each_further_wrong_one_waits_twice_as_long(
    app: Flask, clock: Clock, secret: bytes
) -> None:
    client = app.test_client()
    assert fail(client, secret, 5) == [401] * 5
    for wait in (30, 60, 120, 240, 480, 900, 900):
        token = first_step(client, "alice")
        response = second_step(client, token, totp_code=wrong_code(secret))
        assert response.headers["Retry-After"] == str(wait)
        clock.shift(timedelta(seconds=wait))
        assert fail(client, secret, 1) == [401]
    events = audit_trail(app, "session.second_factor_throttled")
    assert [event["details"] for event in events] == [{"counted_by": "second_factor"}] * 8
    assert {event["outcome"] for event in events} == {"failure"}


@pytest.mark.parametrize("is_known", [False, True])
def test_guesses_add_up_however_slowly_they_come(
    app: Flask, clock: Clock, secret: bytes, device_token: str, is_known: bool
) -> None:
    options = {"device_token": device_token} if is_known else {}
    mailbox = open_mailbox(app)
    assert fail(app.test_client(), secret, 4, **options) == [401] * 4
    clock.shift(timedelta(days=1))
    assert fail(app.test_client(), secret, 2, **options) == [401, 429]
    work(app)
    assert len(warnings(mailbox)) == 1


def test_the_right_password_clears_nothing_and_a_completed_step_clears_its_own(
    app: Flask, secret: bytes, device_token: str
) -> None:
    client = app.test_client()
    assert fail(client, secret, 4) == [401] * 4
    assert fail(client, secret, 4, device_token=device_token) == [401] * 4
    assert len(counters(app)) == 2
    assert sign_in_with_totp(client, "alice", secret).status_code == 200
    assert fail(client, secret, 2, device_token=device_token) == [401, 429]
    assert fail(client, secret, 6) == [401] * 5 + [429]


def test_strangers_do_not_block_a_device_of_the_owner(
    app: Flask, secret: bytes, device_token: str
) -> None:
    client = app.test_client()
    assert fail(client, secret, 6) == [401] * 5 + [429]
    token = first_step(client, "alice", device_token=device_token)
    assert second_step(client, token, totp_code=code_at(secret, now())).status_code == 200
    assert fail(client, secret, 1) == [429]


def test_a_device_that_has_proven_no_second_factor_is_a_strangers(
    app: Flask, alice: Caller, secret: bytes
) -> None:
    """A thief of the password could make any number of them before there was a second factor."""
    client, device_token = app.test_client(), alice.tokens["device_token"]
    assert fail(client, secret, 4, device_token=device_token) == [401] * 4
    assert failed_in_a_row(app) == 4
    assert fail(client, secret, 2) == [401, 429]


@both_databases
def test_a_mailed_link_makes_no_device_with_a_counter_of_its_own(
    app: Flask, alice: Caller, secret: bytes
) -> None:
    client, mailbox = app.test_client(), open_mailbox(app)
    assert fail(client, secret, 5) == [401] * 5
    device_token = set_password_by_mail(app, mailbox, PASSWORD).get_json()["device_token"]
    assert fail(client, secret, 1, device_token=device_token) == [429]


def set_password_by_mail(app: Flask, mailbox: Mailbox, password: str) -> TestResponse:
    client = app.test_client()
    client.post("/api/v1/auth/password/forgot", json={"email": "alice@example.com"})
    work(app)
    body = {"token": mailbox.letters[-1].token, "new_password": password}
    response = client.post("/api/v1/auth/password/reset", json=body)
    assert response.status_code == 200
    return response


@both_databases
def test_of_a_crowd_of_guesses_five_are_compared(app: Flask, alice: Caller, secret: bytes) -> None:
    tokens = [first_step(app.test_client(), "alice") for _ in range(20)]
    code = wrong_code(secret)

    def guess(token: str) -> Callable[[], Any]:
        return lambda: persistently(lambda: second_step(app.test_client(), token, totp_code=code))

    statuses = [answer.status_code for answer in all_at_once([guess(each) for each in tokens])]
    assert sorted(statuses) == [401] * 5 + [429] * 15
    assert len(audit_trail(app, "session.second_factor_failed")) == 5
    assert len(audit_trail(app, "session.second_factor_throttled")) == 1
    assert failed_in_a_row(app) == 5


def test_the_owner_is_told_at_the_first_block_once_a_day(
    app: Flask, clock: Clock, secret: bytes
) -> None:
    client, mailbox = app.test_client(), open_mailbox(app)
    assert fail(client, secret, 4) == [401] * 4
    work(app)
    assert warnings(mailbox) == []
    for _ in range(2):
        assert 401 in fail(client, secret, 5)
        work(app)
        assert len(warnings(mailbox)) == 1
        clock.shift(timedelta(minutes=10))
    clock.shift(timedelta(days=1))
    fail(client, secret, 5)
    work(app)
    assert len(warnings(mailbox)) == 2


def set_failures(app: Flask, count: int) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(failed_second_factors=count))


@both_databases
def test_a_hundred_in_a_row_switch_codes_off_for_unknown_devices(
    app: Flask, alice: Caller, secret: bytes, device_token: str
) -> None:
    client, mailbox = app.test_client(), open_mailbox(app)
    key = give_passkey(app, alice.id)
    (recovery_code,) = give_recovery_codes(app, alice.id)
    set_failures(app, MAX_FAILED_SECOND_FACTORS - 1)
    assert fail(client, secret, 1) == [401]
    (event,) = audit_trail(app, "factor.switched_off")
    assert (event["outcome"], event["details"]) == ("failure", {"factor": "totp"})
    work(app)
    assert len(warnings(mailbox)) == 1

    right = {"totp_code": code_at(secret, now())}
    assert_problem(second_step(client, first_step(client, "alice"), **right), 401, "invalid_code")
    reasons = [
        event["details"]["reason"] for event in audit_trail(app, "session.second_factor_failed")
    ]
    assert reasons == ["wrong_code", "second_factor_switched_off"]
    token = first_step(client, "alice")
    answer = verification_answer(app, token, alice.id, key)
    assert second_step(client, token, credential=answer).status_code == 200
    token = first_step(client, "alice")
    assert second_step(client, token, recovery_code=recovery_code).status_code == 200
    # Neither counts as a reason to accept codes again.
    assert_problem(second_step(client, first_step(client, "alice"), **right), 401, "invalid_code")
    known = first_step(client, "alice", device_token=device_token)
    assert second_step(client, known, **right).status_code == 200
    assert failed_in_a_row(app) == MAX_FAILED_SECOND_FACTORS
    assert len(audit_trail(app, "factor.switched_off")) == 1


def set_hits(app: Flask, count: int) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(RateCounter).values(hits=count))


@both_databases
def test_a_hundred_in_a_row_switch_codes_off_for_a_known_device(
    app: Flask, alice: Caller, clock: Clock, secret: bytes, device_token: str
) -> None:
    client, mailbox = app.test_client(), open_mailbox(app)
    (recovery_code,) = give_recovery_codes(app, alice.id)

    def give(**proof: Any) -> Any:
        token = first_step(client, "alice", device_token=device_token)
        return second_step(client, token, **proof)

    assert fail(client, secret, 1, device_token=device_token) == [401]
    set_hits(app, MAX_FAILED_SECOND_FACTORS - 1)
    assert_problem(give(totp_code=wrong_code(secret)), 401, "invalid_code")
    (event,) = audit_trail(app, "factor.switched_off")
    assert event["details"] == {"factor": "totp", "counted_by": "second_factor_of_device"}
    work(app)
    assert len(warnings(mailbox)) == 1
    clock.shift(timedelta(minutes=15))
    assert_problem(give(totp_code=code_at(secret, now())), 401, "invalid_code")
    clock.shift(timedelta(minutes=15))
    assert give(recovery_code=recovery_code).status_code == 200
    assert give(totp_code=code_at(secret, now())).status_code == 200
    assert len(audit_trail(app, "factor.switched_off")) == 1


def test_codes_of_a_known_device_are_accepted_below_a_hundred(
    app: Flask, secret: bytes, device_token: str
) -> None:
    client = app.test_client()
    assert fail(client, secret, 1, device_token=device_token) == [401]
    set_hits(app, MAX_FAILED_SECOND_FACTORS - 1)
    token = first_step(client, "alice", device_token=device_token)
    assert second_step(client, token, totp_code=code_at(secret, now())).status_code == 200
    assert counters(app) == []


def test_fewer_are_forgotten_by_a_completed_step(app: Flask, secret: bytes) -> None:
    set_failures(app, MAX_FAILED_SECOND_FACTORS - 2)
    client = app.test_client()
    assert fail(client, secret, 1) == [401]
    assert sign_in_with_totp(client, "alice", secret).status_code == 200
    assert failed_in_a_row(app) == 0


def test_a_known_device_is_not_counted_in_the_row(
    app: Flask, secret: bytes, device_token: str
) -> None:
    assert fail(app.test_client(), secret, 1, device_token=device_token) == [401]
    assert failed_in_a_row(app) == 0


def test_a_new_password_accepts_codes_again(
    app: Flask, alice: Caller, clock: Clock, secret: bytes
) -> None:
    set_failures(app, MAX_FAILED_SECOND_FACTORS)
    set_password_by_mail(app, open_mailbox(app), "another horse, another staple")
    assert failed_in_a_row(app) == 0
