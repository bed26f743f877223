"""POST /auth/mfa/verify: completing a sign-in with a second proof, and what refuses it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, select, update

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import read_all, transaction
from authserve.mfa.models import PendingSignIn, TotpFactor
from authserve.settings.model import Mfa
from authserve.users.accounts import deactivate
from authserve.users.lookup import get_user
from authserve.users.models import User
from tests.conftest import Log
from tests.support.clients import Caller, login
from tests.support.factors import break_totp, give_recovery_codes, give_totp
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import SIGN_IN, give_passkey, passkey_answer, passkey_row
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_user, count_sessions, counters, live_session_row
from tests.support.second_steps import (
    VERIFY,
    first_step,
    second_step,
    sign_in_with_totp,
    verification_answer,
    wrong_code,
)
from tests.support.tokens import claims_of
from tests.support.totp import code_at

Clock = time_machine.Traveller

ME = "/api/v1/users/me"


def failures(app: Flask) -> list[str]:
    return [
        event["details"]["reason"] for event in audit_trail(app, "session.second_factor_failed")
    ]


def attempts(app: Flask, token: str) -> int:
    of = PendingSignIn.id == UUID(claims_of(token)["jti"])
    with app.app_context():
        return int(read_all(select(PendingSignIn.attempts).where(of))[0][0])


@both_databases
def test_a_code_completes_the_sign_in_at_two_factors(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    tokens = response.get_json()
    claims = claims_of(tokens["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal2", ["otp", "pwd", "mfa"])
    assert claims["fresh"] > claims["auth_time"]
    row = live_session_row(app, tokens["session_id"])
    assert (row["aal"], row["amr"]) == (2, ["otp", "pwd", "mfa"])
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get(ME, headers=headers).status_code == 200
    assert failures(app) == []
    with app.app_context():
        assert get_user(alice.id).last_login_at == row["created_at"]


def test_its_token_is_spent_by_it(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    (code,) = give_recovery_codes(app, alice.id)
    token = first_step(client, "alice")
    assert second_step(client, token, totp_code=code_at(secret, now())).status_code == 200
    response = second_step(client, token, recovery_code=code)
    assert_problem(response, 401, "mfa_token_invalid")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert failures(app) == ["pending_sign_in_dead"]
    assert count_sessions(app) == 2
    # The code was not spent.
    assert second_step(client, first_step(client, "alice"), recovery_code=code).status_code == 200


def test_a_code_is_used_once_in_any_sign_in(clock: Clock, app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    assert sign_in_with_totp(client, "alice", secret).status_code == 200
    assert_problem(sign_in_with_totp(client, "alice", secret), 401, "code_reused")
    assert failures(app) == ["code_reused"]
    clock.shift(timedelta(seconds=30))
    assert sign_in_with_totp(client, "alice", secret).status_code == 200


def test_a_recovery_code_completes_it_and_its_owner_gets_a_mail(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    mailbox, client = open_mailbox(app), app.test_client()
    codes = give_recovery_codes(app, alice.id, count=5)
    left = []
    for code in codes:
        response = second_step(client, first_step(client, "alice"), recovery_code=code.lower())
        assert response.status_code == 200
        left.append(response.get_json().get("recovery_codes_left"))
        claims = claims_of(response.get_json()["access_token"])
        assert (claims["acr"], claims["amr"]) == ("aal2", ["pwd", "rcv", "mfa"])
    assert left == [None, 3, 2, 1, 0]
    work(app)
    assert len([mail for mail in mailbox.letters if "recovery code" in mail.subject]) == 5
    used = audit_trail(app, "recovery_codes.used")
    assert [event["details"] for event in used] == [{"left": n} for n in (4, 3, 2, 1, 0)]
    again = second_step(client, first_step(client, "alice"), recovery_code=codes[0])
    assert_problem(again, 401, "invalid_code")
    assert failures(app) == ["wrong_recovery_code"]


@both_databases
def test_a_passkey_completes_it_against_phishing(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    key, client = give_passkey(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    answer = verification_answer(app, token, alice.id, key)
    response = second_step(client, token, credential=answer)
    claims = claims_of(response.get_json()["access_token"])
    assert (claims["acr"], claims["amr"]) == ("phr", ["pop", "pwd", "mfa"])
    assert passkey_row(app, key)["last_used_at"] is not None
    again = second_step(client, first_step(client, "alice"), credential=answer)
    assert_problem(again, 401, "invalid_passkey")


def test_a_passkey_of_another_sign_in_or_account_is_refused(
    app: Flask, alice: Caller, charlie: Caller
) -> None:
    give_totp(app, alice.id)
    key, other = give_passkey(app, alice.id), give_passkey(app, charlie.id)
    client = app.test_client()
    token, second = first_step(client, "alice"), first_step(client, "alice")
    answers = [
        verification_answer(app, second, alice.id, key),
        verification_answer(app, token, charlie.id, other),
    ]
    for answer in answers:
        assert_problem(second_step(client, token, credential=answer), 401, "invalid_passkey")
    assert failures(app) == ["passkey_refused", "unknown_passkey"]


def test_a_clone_is_flagged_and_counts_as_wrong(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    key, client = give_passkey(app, alice.id, sign_count=10), app.test_client()
    key.sign_count = 1
    token = first_step(client, "alice")
    answer = verification_answer(app, token, alice.id, key)
    assert_problem(second_step(client, token, credential=answer), 401, "invalid_passkey")
    assert failures(app) == ["passkey_flagged"]
    assert count_sessions(app) == 1
    assert passkey_row(app, key)["flagged_at"] is not None


def test_five_wrong_codes_end_it_and_the_fifth_attempt_may_be_right(
    clock: Clock, app: Flask, alice: Caller, log: Log
) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    for _ in range(4):
        assert_problem(
            second_step(client, token, totp_code=wrong_code(secret)), 401, "invalid_code"
        )
    assert second_step(client, token, totp_code=code_at(secret, now())).status_code == 200
    token = first_step(client, "alice")
    for _ in range(5):
        assert_problem(
            second_step(client, token, totp_code=wrong_code(secret)), 401, "invalid_code"
        )
    clock.shift(timedelta(seconds=31))
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert_problem(response, 401, "mfa_token_invalid")
    reasons = ["wrong_code"] * 9 + ["pending_sign_in_dead"]
    assert failures(app) == reasons
    lines = [line for line in log() if line["event"] == "second factor refused"]
    assert [(line["level"], line["reason"]) for line in lines] == [("INFO", it) for it in reasons]


BAD_BODIES: dict[str, dict[str, Any]] = {
    "no proof": {},
    "two proofs": {"totp_code": "000000", "recovery_code": "x"},
    "five digits": {"totp_code": "00000"},
    "seven digits": {"totp_code": "0000000"},
    "blanks": {"totp_code": "000 00"},
    "a number": {"totp_code": 123456},
    "other digits": {"totp_code": "١٢٣٤٥٦"},
    "a new line": {"totp_code": "000000\n"},
    "null": {"totp_code": None},
    "a long recovery code": {"recovery_code": "x" * 65},
    "a credential of no shape": {"credential": {}},
    "an unknown member": {"totp_code": "000000", "x": 1},
}


def test_a_body_of_another_form_is_refused_and_not_counted(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    client = app.test_client()
    token = first_step(client, "alice")
    for name, proof in BAD_BODIES.items():
        response = second_step(client, token, **proof)
        assert (name, response.status_code) == (name, 422)
    assert (attempts(app, token), failures(app)) == (0, [])


def test_a_token_of_another_kind_is_no_mfa_token(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    for kind in ("access", "refresh", "device"):
        body = {"mfa_token": alice.tokens[f"{kind}_token"], "totp_code": "000000"}
        assert_problem(client.post(VERIFY, json=body), 401, "mfa_token_invalid")


def test_an_mfa_token_opens_nothing_else(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    client = app.test_client()
    token = first_step(client, "alice")
    headers = {"Authorization": f"Bearer {token}"}
    assert_problem(client.get(ME, headers=headers), 401, "invalid_token")
    for path in ("refresh", "logout", "reauthenticate", "logout-all"):
        response = client.post(f"/api/v1/auth/{path}", headers=headers)
        assert_problem(response, 401, "invalid_token")


def test_a_late_one_is_told_that_it_is_late(clock: Clock, app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    clock.shift(timedelta(minutes=5))
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert_problem(response, 401, "mfa_token_expired")
    assert failures(app) == []


def test_a_deactivated_account_cannot_complete_it(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    with app.app_context():
        deactivate(alice.id, actor=VISITOR, request=RequestInfo())
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert_problem(response, 403, "account_disabled")
    assert count_sessions(app, revoked_at=None) == 0


def test_a_new_password_ends_it(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(password_version=1))
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert_problem(response, 401, "mfa_token_invalid")


def test_a_removed_factor_proves_nothing(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    token = first_step(client, "alice")
    with app.app_context(), transaction() as session:
        session.execute(delete(TotpFactor))
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert_problem(response, 401, "invalid_code")


def test_a_secret_that_no_key_opens_is_never_wrong(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    break_totp(app)
    token = first_step(client, "alice")
    response = second_step(client, token, totp_code=code_at(secret, now()))
    assert_problem(response, 503, "factor_unavailable")
    assert (failures(app), attempts(app, token), counters(app)) == ([], 0, [])


def test_it_cancels_a_pending_reset(app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    change_user(app, alice.id, mfa_reset_at=now() + timedelta(days=1))
    assert sign_in_with_totp(client, "alice", secret).status_code == 200
    assert len(audit_trail(app, "mfa.reset_cancelled")) == 1


def test_the_device_of_the_first_step_stays_known(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    codes, client = give_recovery_codes(app, alice.id, count=3), app.test_client()

    def sign_in(**device: str) -> str:
        proof = {"recovery_code": codes.pop()}
        tokens = second_step(client, first_step(client, "alice", **device), **proof).get_json()
        return str(tokens["device_token"])

    token = sign_in(device_token=alice.tokens["device_token"])
    known = claims_of(token)["did"]
    # A device of the password alone is replaced by one that has proven a second factor.
    assert known != claims_of(alice.tokens["device_token"])["did"]
    assert claims_of(sign_in(device_token=token))["did"] == known
    assert claims_of(sign_in())["did"] != known


def test_a_new_device_is_announced_when_the_session_starts(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    assert login(app.test_client(), "alice").status_code == 200
    secret, client, mailbox = give_totp(app, alice.id), app.test_client(), open_mailbox(app)
    clock.shift(timedelta(days=2))
    headers = {"User-Agent": "Mozilla/5.0 Firefox/200.0"}
    body = {"identifier": "alice", "password": alice.password}
    token = client.post("/api/v1/auth/login", json=body, headers=headers).get_json()["mfa_token"]
    work(app)
    assert mailbox.letters == []
    body = {"mfa_token": token, "totp_code": code_at(secret, now())}
    assert client.post(VERIFY, json=body, headers=headers).status_code == 200
    work(app)
    assert len(mailbox.letters) == 1


@pytest.mark.parametrize("is_late", [False, True])
def test_a_session_of_one_factor_is_told_the_date_of_the_second(
    make_app: Any, clock: Clock, alice: Caller, is_late: bool
) -> None:
    app = make_app(mfa=Mfa.REQUIRED, mfa_enroll_by=now() + timedelta(days=1))
    clock.shift(timedelta(days=1) if is_late else timedelta(0))
    response = login(app.test_client(), "alice")
    if is_late:
        assert_problem(response, 403, "mfa_enrollment_required")
    else:
        assert response.get_json()["mfa_enroll_by"] == "2030-01-02T12:00:00Z"


def test_a_clock_that_jumps_back_revives_nothing(clock: Clock, app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    (recovery_code,) = give_recovery_codes(app, alice.id)
    clock.shift(timedelta(hours=1))
    answer = passkey_answer(client, give_passkey(app, alice.id))
    spent = first_step(client, "alice")
    assert second_step(client, spent, totp_code=code_at(secret, now())).status_code == 200
    token = first_step(client, "alice")
    assert second_step(client, token, recovery_code=recovery_code).status_code == 200
    assert client.post(SIGN_IN, json={"credential": answer}).status_code == 200
    clock.shift(timedelta(hours=-1))
    present = {"totp_code": code_at(secret, now())}
    assert_problem(second_step(client, spent, **present), 401, "mfa_token_invalid")
    token = first_step(client, "alice")
    assert_problem(second_step(client, token, **present), 401, "code_reused")
    response = second_step(client, token, recovery_code=recovery_code)
    assert_problem(response, 401, "invalid_code")
    response = client.post(SIGN_IN, json={"credential": answer})
    assert_problem(response, 401, "invalid_passkey")
