"""Rules for links of every purpose."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.core.actor import VISITOR, RequestInfo
from authserve.users.accounts import deactivate
from authserve.verification.policy import LIFETIMES, Purpose
from tests.support.clients import Caller
from tests.support.mail import work
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.verification.conftest import PATHS, SUCCESS, Desk, body_for

purposes = pytest.mark.parametrize("purpose", list(Purpose))

NO_JUDGE = "invalid_or_expired_token"


@both_databases
@purposes
def test_it_is_good_once(desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    assert desk.follow(purpose, token).status_code == SUCCESS[purpose]
    assert_problem(desk.follow(purpose, token), 400, NO_JUDGE)


@purposes
def test_a_new_request_ends_it_before_the_mail_is_even_sent(desk: Desk, purpose: Purpose) -> None:
    first = desk.ask(purpose)
    desk.request(purpose)
    assert_problem(desk.follow(purpose, first), 400, NO_JUDGE)
    work(desk.app)
    assert desk.is_good(purpose, desk.letters(purpose)[-1].token)


@purposes
@pytest.mark.parametrize(
    ("early", "is_good"), [(timedelta(seconds=1), True), (timedelta(0), False)]
)
def test_it_is_good_for_the_time_that_it_states(
    clock: time_machine.Traveller, desk: Desk, purpose: Purpose, early: timedelta, is_good: bool
) -> None:
    token = desk.ask(purpose)
    clock.shift(LIFETIMES[purpose] - early)
    assert desk.is_good(purpose, token) is is_good


@purposes
def test_it_is_good_for_its_purpose_alone(desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    for other in set(Purpose) - {purpose}:
        assert_problem(desk.follow(other, token), 400, NO_JUDGE)
    assert desk.is_good(purpose, token)


@purposes
def test_it_refuses_what_is_malformed(desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    body = body_for(purpose, token)
    tokenless = {name: value for name, value in body.items() if name != "token"}
    malformed = [
        tokenless,
        *({**body, "token": wrong} for wrong in (None, 7, [token], "", "A" * 201)),
        {**body, "user_id": "1"},
        {**body, "email": "eve@example.com"},
    ]
    for wrong in malformed:
        answer = desk.client.post(PATHS[purpose], json=wrong)
        assert_problem(answer, 422, "validation_failed")
    assert desk.is_good(purpose, token)


@purposes
def test_it_refuses_what_is_no_token_of_ours(desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    tampered = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in ("A" * 64, token + "=", f" {token}", tampered, "ünïcödé", "' OR 1=1 --"):
        assert_problem(desk.follow(purpose, wrong), 400, NO_JUDGE)
    assert desk.is_good(purpose, token)


@purposes
def test_it_is_dead_while_the_account_is_deactivated(desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    user_id = desk.dora.id if purpose is Purpose.INVITATION else desk.alice.id
    with desk.app.app_context():
        deactivate(user_id, actor=VISITOR, request=RequestInfo())
    assert_problem(desk.follow(purpose, token), 400, NO_JUDGE)
    # Nor does a weak password, or none, find out more.
    weak = {"new_password": "x"} if purpose is Purpose.RESET_PASSWORD else {"password": "x"}
    assert_problem(desk.follow(purpose, token, **weak), 400, NO_JUDGE)


@purposes
def test_none_goes_out_to_a_deactivated_account(desk: Desk, purpose: Purpose) -> None:
    desk.request(purpose)
    user_id = desk.dora.id if purpose is Purpose.INVITATION else desk.alice.id
    with desk.app.app_context():
        deactivate(user_id, actor=VISITOR, request=RequestInfo())
    work(desk.app)
    assert desk.letters(purpose) == []


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.INVITATION])
def test_it_dies_with_the_account(app: Flask, desk: Desk, purpose: Purpose) -> None:
    token = desk.ask(purpose)
    assert desk.alice.delete("/api/v1/users/me").status_code == 204
    assert_problem(desk.follow(purpose, token), 400, NO_JUDGE)


PROVEN = pytest.mark.parametrize("purpose", [Purpose.VERIFY_EMAIL, Purpose.CHANGE_EMAIL])


@PROVEN
class TestProof:
    """Holding the mailbox is not enough."""

    def test_a_session_of_the_account_will_do(self, desk: Desk, purpose: Purpose) -> None:
        token = desk.ask(purpose)
        assert desk.alice.post(PATHS[purpose], json={"token": token}).status_code == 204

    def test_a_strangers_session_is_refused_with_any_password(
        self, desk: Desk, charlie: Caller, purpose: Purpose
    ) -> None:
        token = desk.ask(purpose)
        for body in ({"token": token}, body_for(purpose, token)):
            assert_problem(charlie.post(PATHS[purpose], json=body), 400, NO_JUDGE)
        assert desk.is_good(purpose, token)

    def test_a_session_that_has_ended_will_not(self, desk: Desk, purpose: Purpose) -> None:
        token = desk.ask(purpose)
        assert desk.alice.post("/api/v1/auth/logout").status_code == 204
        answer = desk.alice.post(PATHS[purpose], json=body_for(purpose, token))
        assert_problem(answer, 401, "session_revoked")

    def test_a_caller_without_credentials_learns_what_is_missing(
        self, desk: Desk, purpose: Purpose
    ) -> None:
        token = desk.ask(purpose)
        answer = desk.client.post(PATHS[purpose], json={"token": token})
        assert list(assert_problem(answer, 422, "validation_failed")["errors"]) == ["password"]
        assert desk.is_good(purpose, token)

    def test_a_wrong_password_is_counted_and_does_not_spend_it(
        self, clock: time_machine.Traveller, desk: Desk, purpose: Purpose
    ) -> None:
        token = desk.ask(purpose)
        for _ in range(5):
            wrong = desk.follow(purpose, token, password="wrong")
            assert_problem(wrong, 403, "wrong_password")
        blocked = desk.follow(purpose, token)
        assert_problem(blocked, 429, "too_many_attempts")
        clock.shift(int(blocked.headers["Retry-After"]))
        assert desk.is_good(purpose, token)
