"""A right password of an account that needs more: what is answered, stored and counted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import time_machine
from flask import Flask
from sqlalchemy import insert, select, update

from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.core.levels import Proof
from authserve.database.transactions import read_all, transaction
from authserve.mfa.models import Passkey, PendingSignIn
from authserve.mfa.pending import Pending, Purpose, read_pending
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.models import User
from tests.auth.test_sign_in_races import Meanwhile, guess, meanwhile
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions
from tests.support.second_steps import after_second_step

__all__ = ["meanwhile"]

Clock = time_machine.Traveller


def read(app: Flask, token: str, purpose: Purpose = Purpose.VERIFY) -> Pending:
    with app.app_context():
        return read_pending(token, purpose, settings=SETTINGS.get(), now=now())


def columns_of_user(app: Flask, *names: str) -> tuple[Any, ...]:
    with app.app_context():
        return tuple(read_all(select(*(getattr(User, name) for name in names)))[0])


def members(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: problem.get(name) for name in ("expires_in", "methods")}


@both_databases
def test_a_factor_is_asked_for_and_no_session_starts(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    problem = assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")
    assert members(problem) == {"expires_in": 300, "methods": ["totp"]}
    assert "device_token" not in problem
    assert count_sessions(app) == 1
    pending = read(app, problem["mfa_token"])
    assert (pending.account.ref.id, pending.proofs) == (alice.id, {Proof.PASSWORD})
    assert pending.device_id is None
    assert len(audit_trail(app, "session.started", "session.sign_in_failed")) == 1


def test_an_account_without_a_factor_enrols_first(app: Flask, alice: Caller) -> None:
    switch_mfa_on(app, alice.id)
    response = login(app.test_client(), "alice")
    problem = assert_problem(response, 403, "mfa_enrollment_required")
    assert members(problem) == {"expires_in": 900, "methods": ["passkey", "totp"]}
    assert read(app, problem["mfa_token"], Purpose.ENROLL).proofs == {Proof.PASSWORD}
    assert count_sessions(app) == 1


def test_a_service_without_passkeys_offers_none(make_app: Callable[..., Flask]) -> None:
    app = make_app(passkey_rp_id="")
    switch_mfa_on(app, register_caller(app, "alice").id)
    problem = assert_problem(login(app.test_client(), "alice"), 403, "mfa_enrollment_required")
    assert problem["methods"] == ["totp"]


def test_enrolling_after_a_password_takes_a_mailed_code(
    make_app: Callable[..., Flask], app: Flask, alice: Caller
) -> None:
    switch_mfa_on(app, alice.id)
    mailbox = open_mailbox(app)
    quiet = make_app(email_verification=EmailVerification.OFF)
    assert login(quiet.test_client(), "alice").status_code == 403
    work(app)
    assert not [letter for letter in mailbox.letters if "code" in letter.subject]
    assert login(app.test_client(), "alice").status_code == 403
    work(app)
    (letter,) = [letter for letter in mailbox.letters if "code" in letter.subject]
    assert letter.to == "alice@example.com"


def add_passkey(app: Flask, alice: Caller, **columns: Any) -> None:
    values = {
        "credential_id": b"x",
        "public_key": b"",
        "algorithm": -7,
        "rp_id": "localhost",
        "sign_count": 0,
        "backup_eligible": True,
        "backed_up": True,
        "transports": [],
        "aaguid": new_id(),
        "name": "key",
        "created_at": now(),
        **columns,
    }
    with app.app_context(), transaction() as session:
        session.execute(insert(Passkey).values(user_id=alice.id, **values))


def test_an_account_whose_passkeys_do_not_work_never_enrols_instead(
    app: Flask, alice: Caller
) -> None:
    switch_mfa_on(app, alice.id)
    add_passkey(app, alice, flagged_at=now())
    problem = assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")
    assert problem["methods"] == []
    give_recovery_codes(app, alice.id)
    problem = assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")
    assert problem["methods"] == ["recovery_code"]
    add_passkey(app, alice, credential_id=b"y")
    problem = assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")
    assert problem["methods"] == ["passkey", "recovery_code"]


def test_a_wrong_password_reveals_no_factor(app: Flask, alice: Caller) -> None:
    before = login(app.test_client(), "alice", "wrong").get_json()
    give_totp(app, alice.id)
    after = login(app.test_client(), "alice", "wrong").get_json()
    assert {**after, "correlation_id": ""} == {**before, "correlation_id": ""}


def test_the_password_counts_as_right_and_the_sign_in_as_unfinished(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    give_totp(app, alice.id)
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(failed_sign_ins=7, activated_at=None))
    last_login_at = columns_of_user(app, "last_login_at")
    clock.shift(timedelta(minutes=1))
    assert login(app.test_client(), "alice").status_code == 403
    assert columns_of_user(app, "failed_sign_ins", "activated_at") == (0, now())
    assert columns_of_user(app, "last_login_at") == last_login_at


def test_the_device_of_the_first_step_is_remembered(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    body = {"identifier": "alice", "password": PASSWORD}
    body["device_token"] = after_second_step(app, alice.tokens["device_token"])
    problem = app.test_client().post("/api/v1/auth/login", json=body).get_json()
    with app.app_context():
        ((device_id,),) = read_all(select(PendingSignIn.device_id))
    assert read(app, problem["mfa_token"]).device_id == device_id is not None


@both_databases
def test_guesses_meanwhile_that_begin_a_block_refuse_the_right_password_too(
    app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    give_totp(app, alice.id)
    meanwhile(lambda: guess(app, 5))
    assert_problem(login(app.test_client(), "alice"), 429, "too_many_attempts")
    with app.app_context():
        assert read_all(select(PendingSignIn.id)) == []


@both_databases
def test_a_factor_that_is_switched_on_meanwhile_is_asked_for(
    app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: give_totp(app, alice.id))
    problem = assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")
    assert problem["methods"] == ["totp"]
    assert count_sessions(app) == 1
    assert audit_trail(app, "session.sign_in_failed") == []
