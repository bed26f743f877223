"""Signing in with a mailed code: what it opens, and what its answers and work do not reveal."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserve.core.actor import OPERATOR, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.mfa.sign_in_codes import TOKEN_LIFETIME
from authserve.settings.model import SETTINGS, EmailVerification, Mfa
from authserve.tokens.device import read_device_token
from authserve.users.accounts import deactivate
from authserve.users.models import User
from tests.support.clients import PASSWORD, login
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import give_totp, switch_mfa_on
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.observing import observed
from tests.support.people import make_user
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions

ALICE = "alice@example.com"
CODE = "/api/v1/auth/email-code"
VERIFY = "/api/v1/auth/email-code/verify"

CROWD = 20


@dataclass
class Desk:
    """Alice, whose address is verified, and her mailbox."""

    app: Flask
    box: Mailbox
    alice: UserRef

    @property
    def client(self) -> FlaskClient:
        """An anonymous client."""
        return self.app.test_client()

    def request(self, email: str = ALICE, **fields: str) -> str:
        """Request a code and return the token; nothing is sent yet."""
        answer = self.client.post(CODE, json={"email": email, **fields})
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.get_json()
        assert body.keys() == {"sign_in_token", "expires_in"}
        assert body["expires_in"] == TOKEN_LIFETIME.total_seconds()
        return str(body["sign_in_token"])

    def mailed(self, **fields: str) -> tuple[str, str]:
        """Request a code, and return the token, and the code from the mail."""
        token = self.request(**fields)
        work(self.app)
        return token, self.box.letters[-1].code

    def verify(self, token: str, code: str, **fields: str) -> TestResponse:
        """Give a code."""
        body = {"sign_in_token": token, "code": code, **fields}
        response: TestResponse = self.client.post(VERIFY, json=body)
        return response

    def change(self, **columns: object) -> None:
        """Overwrite columns of Alice's account."""
        with self.app.app_context(), transaction() as session:
            session.execute(update(User).where(User.id == self.alice.id).values(columns))


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(make_app: Callable[..., Flask]) -> MakeDesk:
    def make(**changes: object) -> Desk:
        app = make_app(**changes)
        with app.app_context():
            alice = make_user("alice", email_verified=True)
        work(app)
        return Desk(app, open_mailbox(app), alice)

    return make


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()


def me(desk: Desk, tokens: dict[str, Any]) -> TestResponse:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    response: TestResponse = desk.client.get("/api/v1/users/me", headers=headers)
    return response


@both_databases
def test_a_right_code_signs_in_once(desk: Desk) -> None:
    token, code = desk.mailed()
    tokens = desk.verify(token, code).get_json()
    assert me(desk, tokens).get_json()["email"] == ALICE
    (started,) = audit_trail(desk.app, "session.started")
    assert (started["details"]["amr"], started["details"]["acr"]) == (["email"], "aal1")
    assert_problem(desk.verify(token, code), 401, "invalid_code")


def test_a_password_and_a_code_are_one_factor(desk: Desk) -> None:
    """Neither raises the other's session (NIST SP 800-63B-4 §3.1.3.1)."""
    token, code = desk.mailed()
    tokens = desk.verify(token, code).get_json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    again = desk.client.post(
        "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=headers
    )
    assert again.status_code == 200
    levels = {event["details"].get("acr") for event in audit_trail(desk.app, "session.started")}
    assert levels == {"aal1"}


@pytest.mark.usefixtures("clock")
def test_a_session_of_one_factor_is_told_the_date_of_the_second(make_desk: MakeDesk) -> None:
    desk = make_desk(mfa=Mfa.REQUIRED, mfa_enroll_by=now() + timedelta(days=1))
    token, code = desk.mailed()
    assert desk.verify(token, code).get_json()["mfa_enroll_by"] == "2030-01-02T12:00:00Z"


def test_an_account_without_a_password_signs_in_too(desk: Desk) -> None:
    desk.change(password_hash=None, activated_at=None)
    token, code = desk.mailed()
    assert desk.verify(token, code).status_code == 200


def test_counted_wrong_passwords_stay_counted(desk: Desk) -> None:
    login(desk.client, "alice", "wrong")
    token, code = desk.mailed()
    desk.verify(token, code)
    with desk.app.app_context(), transaction() as session:
        user = session.get(User, desk.alice.id)
        assert user is not None
        assert user.failed_sign_ins == 1


@both_databases
def test_of_many_with_one_code_one_signs_in(desk: Desk) -> None:
    token, code = desk.mailed()
    call = [lambda: persistently(lambda: desk.verify(token, code))] * CROWD
    answers = Counter(answer.status_code for answer in all_at_once(call))
    assert answers[200] == 1
    assert answers.keys() <= {200, 401, 429}
    assert count_sessions(desk.app) == 1


def test_a_code_of_another_request_or_without_its_token_is_wrong(desk: Desk) -> None:
    first, code = desk.mailed()
    second, other = desk.mailed()
    for token, given in ((first, other), (second, code), ("x", code), (f"{first}x", code)):
        assert_problem(desk.verify(token, given), 401, "invalid_code")
    assert desk.verify(first, code).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token", "device_token"])
def test_a_token_of_another_kind_is_a_wrong_code(desk: Desk, kind: str) -> None:
    tokens = login(desk.client, "alice").get_json()
    assert_problem(desk.verify(tokens[kind], "01234567"), 401, "invalid_code")


def test_the_token_of_a_request_is_no_bearer(desk: Desk) -> None:
    token = desk.request()
    assert_problem(me(desk, {"access_token": token}), 401, "invalid_token")


@pytest.mark.parametrize(
    "code", ["1234567", "123456789", "12345 78", "1234567８", "01234567\n", ""]
)
def test_other_than_eight_digits_is_refused_and_not_counted(desk: Desk, code: str) -> None:
    token, right = desk.mailed()
    for _ in range(6):
        assert_problem(desk.verify(token, code), 422, "validation_failed")
    assert desk.verify(token, right).status_code == 200


def test_a_number_is_no_code(desk: Desk) -> None:
    token = desk.request()
    answer = desk.client.post(VERIFY, json={"sign_in_token": token, "code": 12345678})
    assert_problem(answer, 422, "validation_failed")


def test_wrong_codes_count_as_wrong_passwords_do(desk: Desk) -> None:
    """A block that passwords began holds a right code as well, and a known device's does not."""
    device_token = login(desk.client, "alice").get_json()["device_token"]
    token, code = desk.mailed()
    known, known_code = desk.mailed(device_token=device_token)
    for _ in range(3):
        login(desk.client, ALICE, "wrong")
    for _ in range(2):
        assert_problem(desk.verify(token, "00000000"), 401, "invalid_code")
    assert_problem(desk.verify(token, code), 429, "too_many_attempts")
    assert desk.verify(known, known_code, device_token=device_token).status_code == 200
    failures = [event["details"] for event in audit_trail(desk.app, "session.sign_in_failed")]
    assert failures[-1] == {"reason": "wrong_email_code"}


def test_a_block_uses_up_no_try_of_a_code(desk: Desk, clock: time_machine.Traveller) -> None:
    token, code = desk.mailed()
    for _ in range(5):
        login(desk.client, ALICE, "wrong")
    for _ in range(6):
        assert_problem(desk.verify(token, code), 429, "too_many_attempts")
    clock.shift(timedelta(seconds=30))
    assert desk.verify(token, code).status_code == 200


def test_the_device_stays_known(desk: Desk) -> None:
    device_token = login(desk.client, "alice").get_json()["device_token"]
    token, code = desk.mailed(device_token=device_token)
    again = desk.verify(token, code, device_token=device_token).get_json()["device_token"]
    with desk.app.app_context():
        url, moment = SETTINGS.get().public_url, now()
        before, after = (
            read_device_token(each, public_url=url, now=moment) for each in (device_token, again)
        )
    assert before == after is not None


def test_a_factor_that_came_meanwhile_closes_the_way(desk: Desk) -> None:
    token, code = desk.mailed()
    give_totp(desk.app, desk.alice.id)
    assert_problem(desk.verify(token, code), 401, "invalid_code")
    assert count_sessions(desk.app) == 0


def test_an_account_that_must_enroll_begins_with_a_passkey(desk: Desk) -> None:
    switch_mfa_on(desk.app, desk.alice.id)
    token, code = desk.mailed()
    problem = assert_problem(desk.verify(token, code), 403, "mfa_enrollment_required")
    assert problem["methods"] == ["passkey"]
    assert problem["mfa_token"]
    assert count_sessions(desk.app) == 0
    assert_problem(desk.verify(token, code), 401, "invalid_code")


def test_where_every_account_must_enroll_it_does(make_desk: MakeDesk) -> None:
    desk = make_desk(mfa=Mfa.REQUIRED)
    assert_problem(desk.verify(*desk.mailed()), 403, "mfa_enrollment_required")


def test_a_disabled_account_gets_the_answer_of_a_wrong_code(desk: Desk) -> None:
    token, code = desk.mailed()
    with desk.app.app_context():
        deactivate(desk.alice.id, actor=OPERATOR, request=RequestInfo())
    assert_problem(desk.verify(token, code), 401, "invalid_code")
    (failed,) = audit_trail(desk.app, "session.sign_in_failed")
    assert failed["details"] == {"reason": "account_disabled"}


def test_a_new_password_ends_the_codes_before(desk: Desk) -> None:
    token, code = desk.mailed()
    tokens = login(desk.client, "alice").get_json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    body = {"current_password": PASSWORD, "new_password": "another horse, another staple"}
    changed = desk.client.put("/api/v1/users/me/password", json=body, headers=headers)
    assert changed.status_code == 204
    assert_problem(desk.verify(token, code), 401, "invalid_code")


def test_an_address_that_changed_or_is_not_verified_opens_nothing(desk: Desk) -> None:
    for columns in ({"email": "liddell@example.com"}, {"email_verified": False}):
        token, code = desk.mailed()
        desk.change(**columns)
        assert_problem(desk.verify(token, code), 401, "invalid_code")
        desk.change(email=ALICE, email_verified=True)


# Limits


def test_mails_are_one_a_minute_and_five_an_hour_and_the_answer_is_the_same(
    make_desk: MakeDesk, clock: time_machine.Traveller
) -> None:
    desk = make_desk(ratelimit_enabled=True)
    arrived = []
    for _ in range(10):
        desk.request()
        desk.request()
        work(desk.app)
        arrived.append(len(desk.box.letters))
        # No more than two codes are live then, so the limit alone holds mails back.
        clock.shift(timedelta(minutes=4))
    assert arrived == [1, 2, 3, 4, *[5] * 6]


def test_the_owners_device_has_mails_of_its_own(make_desk: MakeDesk) -> None:
    desk = make_desk(ratelimit_enabled=True)
    device_token = login(desk.client, "alice").get_json()["device_token"]
    with desk.app.app_context():
        make_user("bob", email_verified=True)
    work(desk.app)
    desk.box.letters.clear()
    stranger = login(desk.client, "bob").get_json()["device_token"]
    desk.request()
    # A device of another account is none here, so the mailbox's limit holds.
    desk.request(device_token=stranger)
    work(desk.app)
    assert len(desk.box.letters) == 1
    desk.request(device_token=device_token)
    desk.request(device_token=device_token)
    work(desk.app)
    assert len(desk.box.letters) == 2


def test_a_device_has_no_mails_of_its_own_at_an_address_that_is_not_verified(
    make_desk: MakeDesk,
) -> None:
    """A stranger who opens the account can make any number of devices known to it."""
    desk = make_desk(ratelimit_enabled=True)
    desk.change(email_verified=False)
    tokens = [login(desk.client, "alice").get_json()["device_token"] for _ in range(3)]
    work(desk.app)
    desk.box.letters.clear()
    for device_token in tokens:
        desk.request(device_token=device_token)
    work(desk.app)
    (letter,) = desk.box.letters
    assert letter.subject == "How to sign in to your account"


# What answers and work reveal


ADDRESSES = {
    "known": "alice@example.com",
    "unknown": "unknown@example.com",
    "disabled": "dan@example.com",
    "unverified": "ulla@example.com",
    "with a factor": "fred@example.com",
}


@pytest.fixture
def people(desk: Desk) -> Desk:
    """An account for each of `ADDRESSES` but the unknown one."""
    with desk.app.app_context():
        dan = make_user("dan", email_verified=True)
        deactivate(dan.id, actor=OPERATOR, request=RequestInfo())
        make_user("ulla")
        fred = make_user("fred", email_verified=True)
    give_totp(desk.app, fred.id)
    return desk


def without_token(seen: tuple[Any, list[str]]) -> tuple[Any, list[str]]:
    (status, body, headers), statements = seen
    return (status, {**body, "sign_in_token": None}, headers), statements


def test_a_request_is_the_same_for_every_address(people: Desk) -> None:
    people.request("warm@example.com")
    seen = {
        kind: without_token(
            observed(people.app, lambda e=email: people.client.post(CODE, json={"email": e}))
        )
        for kind, email in ADDRESSES.items()
    }
    assert all(each == seen["known"] for each in seen.values())


@pytest.mark.usefixtures("clock")
def test_a_wrong_code_is_the_same_for_every_address(people: Desk) -> None:
    seen = {}
    for kind, email in {"warm": "warm@example.com", **ADDRESSES}.items():
        token = people.request(email)
        work(people.app)
        tries = []
        for number in range(6):
            call = {
                "json": {"sign_in_token": token, "code": "00000000"},
                "environ_overrides": {"REMOTE_ADDR": f"192.0.2.{number}"},
            }
            answer, statements = observed(
                people.app, lambda c=call: people.client.post(VERIFY, **c)
            )
            tries.append((answer, [statement.partition("(")[0] for statement in statements]))
        seen[kind] = tries
    assert [answer[0] for answer, _ in seen["known"]] == [401] * 5 + [429]
    for kind in ADDRESSES:
        assert seen[kind] == seen["unknown"], kind


# Where it does not exist


@pytest.mark.parametrize("path", [CODE, VERIFY])
def test_without_the_setting_it_does_not_exist(make_desk: MakeDesk, path: str) -> None:
    desk = make_desk(email_sign_in=False, email_verification=EmailVerification.OFF)
    assert_problem(desk.client.post(path, json={"email": ALICE}), 404, "not_found")
    assert path not in desk.client.get("/openapi.json").get_json()["paths"]
