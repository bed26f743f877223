"""POST /auth/reauthenticate of accounts with second factors: what each session must prove anew."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserve.auth import reauthenticate
from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.ratelimit.models import RateCounter
from authserve.ratelimit.policy import BY_SECOND_FACTOR
from authserve.users.credentials import MAX_FAILED_SECOND_FACTORS
from tests.support.authenticator import Authenticator
from tests.support.clients import PASSWORD, Caller
from tests.support.factors import break_totp, give_recovery_codes, give_totp, switch_mfa_on
from tests.support.marks import both_databases
from tests.support.passkeys import give_passkey
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_session, change_user, live_session_row
from tests.support.second_steps import first_step, second_step, wrong_code
from tests.support.tokens import claims_of
from tests.support.totp import code_at

Clock = time_machine.Traveller

PATH = "/api/v1/auth/reauthenticate"
ME = "/api/v1/users/me"


def step_up(caller: Caller, password: str | None = PASSWORD, **proof: Any) -> TestResponse:
    """Reauthenticate; a fresh token replaces the caller's."""
    body = proof if password is None else {"password": password, **proof}
    response = caller.post(PATH, json=body)
    if response.status_code == 200:
        caller.tokens["access_token"] = response.get_json()["access_token"]
    return response


def answer(caller: Caller, key: Authenticator) -> dict[str, Any]:
    options = caller.post(f"{PATH}/passkey-options", json={}).get_json()["public_key"]
    key.rp_id = key.rp_id or options["rpId"]
    return key.get(options)


def raise_to(app: Flask, caller: Caller, level: Level) -> None:
    amr = {Level.AAL2: ["otp", "pwd", "mfa"], Level.PHR: ["pop", "mfa"]}[level]
    change_session(app, caller.session_id, aal=level, amr=amr)


@both_databases
def test_a_session_of_two_factors_is_freshened_by_two(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    (recovery_code,) = give_recovery_codes(app, alice.id)
    raise_to(app, alice, Level.AAL2)
    before = live_session_row(app, alice.session_id)
    problem = assert_problem(step_up(alice), 403, "mfa_required")
    assert problem["methods"] == ["totp", "recovery_code"]
    assert "mfa_token" not in problem
    assert live_session_row(app, alice.session_id) == before

    assert step_up(alice, totp_code=code_at(secret, now())).status_code == 200
    claims = claims_of(alice.tokens["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal2", ["otp", "pwd", "mfa"])
    assert claims["fresh"] > claims["auth_time"] >= int(before["auth_time"].timestamp())
    assert step_up(alice, recovery_code=recovery_code).status_code == 200
    row = live_session_row(app, alice.session_id)
    assert (row["aal"], row["amr"]) == (2, ["otp", "pwd", "rcv", "mfa"])
    events = audit_trail(app, "session.reauthenticated")
    assert [(event["details"]["amr"], event["details"]["acr"]) for event in events] == [
        (["otp", "pwd"], "aal2"),
        (["pwd", "rcv"], "aal2"),
    ]


def test_a_password_freshens_no_session_that_rises_meanwhile(
    app: Flask, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session rises while the password is checked."""
    give_totp(app, alice.id)
    change_user(app, alice.id, mfa_enabled=False)
    renewed = reauthenticate.renew_authentication

    def raise_it(*args: Any, **kwargs: Any) -> None:
        raise_to(app, alice, Level.AAL2)
        renewed(*args, **kwargs)

    monkeypatch.setattr(reauthenticate, "renew_authentication", raise_it)
    problem = assert_problem(step_up(alice), 403, "mfa_required")
    assert problem["methods"] == ["totp"]
    row = live_session_row(app, alice.session_id)
    assert row["auth_time"] == row["created_at"]


def test_a_session_below_the_need_of_its_account_rises(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    assert_problem(alice.patch(ME, json={"display_name": "A"}), 401, "step_up_required")
    assert_problem(step_up(alice), 403, "mfa_required")
    assert step_up(alice, totp_code=code_at(secret, now())).status_code == 200
    assert alice.patch(ME, json={"display_name": "A"}).status_code == 200
    row = live_session_row(app, alice.session_id)
    assert (row["aal"], row["amr"]) == (2, ["otp", "pwd", "mfa"])


def test_a_phishing_resistant_session_is_freshened_by_a_passkey_alone(
    app: Flask, alice: Caller
) -> None:
    secret = give_totp(app, alice.id)
    key = give_passkey(app, alice.id)
    raise_to(app, alice, Level.PHR)
    for code in (code_at(secret, now()), wrong_code(secret)):
        problem = assert_problem(step_up(alice, totp_code=code), 403, "mfa_required")
        assert problem["methods"] == ["passkey"]
    assert step_up(alice, None, credential=answer(alice, key)).status_code == 200
    claims = claims_of(alice.tokens["access_token"])
    assert (claims["acr"], claims["amr"]) == ("phr", ["pop", "mfa"])
    # The codes above were not even compared.
    assert audit_trail(app, "session.second_factor_failed") == []


def test_a_passkey_raises_any_session(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    assert step_up(alice, None, credential=answer(alice, key)).status_code == 200
    claims = claims_of(alice.tokens["access_token"])
    assert (claims["acr"], claims["amr"]) == ("phr", ["pop", "pwd", "mfa"])


def test_proofs_that_do_not_go_together_are_refused(app: Flask, alice: Caller) -> None:
    credential = answer(alice, give_passkey(app, alice.id))
    code, recovery = {"totp_code": "123456"}, {"recovery_code": "ABCDE-FGHJK"}

    def faulty_field(password: str | None = None, **proof: Any) -> str:
        problem = assert_problem(step_up(alice, password, **proof), 422, "validation_failed")
        (field,) = problem["errors"]
        return str(field)

    for beside in ({"password": PASSWORD}, code, recovery):
        assert faulty_field(credential=credential, **beside) == "credential"
    assert faulty_field(PASSWORD, **code, **recovery) == "recovery_code"
    assert faulty_field(**code) == faulty_field() == "password"


def test_a_password_is_enough_where_one_factor_is(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    change_user(app, alice.id, mfa_enabled=False)
    assert step_up(alice).status_code == 200
    assert claims_of(alice.tokens["access_token"])["acr"] == "aal1"
    assert step_up(alice, totp_code=code_at(secret, now())).status_code == 200
    assert claims_of(alice.tokens["access_token"])["acr"] == "aal2"


def test_an_account_that_needs_a_factor_and_has_none_gets_to_its_set_up(
    app: Flask, alice: Caller
) -> None:
    switch_mfa_on(app, alice.id)
    assert step_up(alice).status_code == 200
    assert claims_of(alice.tokens["access_token"])["acr"] == "aal1"
    assert_problem(alice.patch(ME, json={"display_name": "A"}), 401, "step_up_required")
    assert alice.post(f"{ME}/mfa/totp").status_code == 201
    # A used-up set of codes is a set; a factor that does not work is one, too.
    give_recovery_codes(app, alice.id)
    assert_problem(step_up(alice), 403, "mfa_required")


def test_a_wrong_second_proof_is_refused_and_audited(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    raise_to(app, alice, Level.AAL2)
    before = live_session_row(app, alice.session_id)
    for proof in ({"totp_code": wrong_code(secret)}, {"recovery_code": "x"}):
        response = step_up(alice, **proof)
        assert_problem(response, 403, "invalid_code")
        assert "WWW-Authenticate" not in response.headers
    assert live_session_row(app, alice.session_id) == before
    events = audit_trail(app, "session.second_factor_failed")
    assert [event["details"]["reason"] for event in events] == [
        "wrong_code",
        "wrong_recovery_code",
    ]
    assert {event["actor_audit_id"] for event in events} == {alice.id}


def test_a_code_is_used_once_at_sign_ins_and_step_ups_together(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    code = code_at(secret, now())
    assert second_step(client, first_step(client, "alice"), totp_code=code).status_code == 200
    assert_problem(step_up(alice, totp_code=code), 403, "code_reused")
    clock.shift(timedelta(seconds=30))
    code = code_at(secret, now())
    assert step_up(alice, totp_code=code).status_code == 200
    token = first_step(client, "alice")
    assert_problem(second_step(client, token, totp_code=code), 401, "code_reused")


def test_sessions_have_a_throttle_of_their_own(clock: Clock, app: Flask, alice: Caller) -> None:
    secret, client = give_totp(app, alice.id), app.test_client()
    raise_to(app, alice, Level.AAL2)
    for _ in range(5):
        assert_problem(step_up(alice, totp_code=wrong_code(secret)), 403, "invalid_code")
    response = step_up(alice, totp_code=code_at(secret, now()))
    assert_problem(response, 429, "too_many_attempts")
    (event,) = audit_trail(app, "session.second_factor_throttled")
    assert event["details"] == {"counted_by": "second_factor_of_sessions"}
    token = first_step(client, "alice")
    assert second_step(client, token, totp_code=code_at(secret, now())).status_code == 200
    clock.shift(timedelta(seconds=30))
    assert step_up(alice, totp_code=code_at(secret, now())).status_code == 200
    for _ in range(4):
        assert_problem(step_up(alice, totp_code=wrong_code(secret)), 403, "invalid_code")


def set_hits(app: Flask, count: int) -> None:
    """Set the one counter, which does not block."""
    values = {"hits": count, "expires_at": now() + BY_SECOND_FACTOR.window}
    with app.app_context(), transaction() as session:
        session.execute(update(RateCounter).values(values))


def test_a_hundred_wrong_codes_switch_codes_off_for_sessions(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    (recovery_code,) = give_recovery_codes(app, alice.id)
    assert_problem(step_up(alice, totp_code=wrong_code(secret)), 403, "invalid_code")
    set_hits(app, MAX_FAILED_SECOND_FACTORS)
    assert_problem(step_up(alice, totp_code=code_at(secret, now())), 403, "invalid_code")
    set_hits(app, MAX_FAILED_SECOND_FACTORS)
    assert step_up(alice, recovery_code=recovery_code).status_code == 200
    assert step_up(alice, totp_code=code_at(secret, now())).status_code == 200


def test_a_wrong_password_compares_no_second_proof(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    code = code_at(secret, now())
    assert_problem(step_up(alice, "wrong", totp_code=code), 403, "wrong_password")
    assert step_up(alice, totp_code=code).status_code == 200


def test_a_passkeys_answer_is_for_its_own_session(
    app: Flask, alice: Caller, charlie: Caller
) -> None:
    key, other = give_passkey(app, alice.id), give_passkey(app, charlie.id)
    foreign = answer(charlie, other)
    assert_problem(step_up(alice, None, credential=foreign), 403, "invalid_passkey")
    own = answer(alice, key)
    assert_problem(step_up(charlie, None, credential=own), 403, "invalid_passkey")
    assert step_up(alice, None, credential=own).status_code == 200
    assert_problem(step_up(alice, None, credential=own), 403, "invalid_passkey")


def test_a_clone_is_flagged(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id, sign_count=10)
    key.sign_count = 1
    response = step_up(alice, None, credential=answer(alice, key))
    assert_problem(response, 403, "invalid_passkey")
    assert len(audit_trail(app, "factor.flagged")) == 1
    assert live_session_row(app, alice.session_id)["aal"] == Level.AAL1


def test_a_secret_that_no_key_opens_is_never_wrong(app: Flask, alice: Caller) -> None:
    secret = give_totp(app, alice.id)
    break_totp(app)
    response = step_up(alice, totp_code=code_at(secret, now()))
    assert_problem(response, 503, "factor_unavailable")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"totp_code": "000000"},
        {"recovery_code": "x"},
        {"password": PASSWORD, "totp_code": "000000", "recovery_code": "x"},
        {"password": PASSWORD, "totp_code": 0},
        {"password": PASSWORD, "totp_code": "00000"},
        {"credential": {}},
    ],
)
def test_other_combinations_are_refused(alice: Caller, body: dict[str, Any]) -> None:
    assert_problem(alice.post(PATH, json=body), 422, "validation_failed")


def test_a_passkey_needs_nothing_beside_it(app: Flask, alice: Caller) -> None:
    credential = answer(alice, give_passkey(app, alice.id))
    for more in ({"password": PASSWORD}, {"totp_code": "000000"}, {"recovery_code": "x"}):
        response = alice.post(PATH, json={"credential": credential, **more})
        assert_problem(response, 422, "validation_failed")
