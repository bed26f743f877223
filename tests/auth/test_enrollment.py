"""POST /auth/mfa/enroll: an account's first factor, during a sign-in that needs one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.levels import Proof
from authserve.database.transactions import transaction
from authserve.mfa.pending import Purpose, begin_pending
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import deactivate
from authserve.users.credentials import get_credentials
from authserve.users.lookup import get_user
from tests.support.authenticator import Authenticator
from tests.support.clients import Caller, login
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import ORIGIN
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions, live_session_row
from tests.support.second_steps import first_step, second_step, sign_in_with_totp
from tests.support.tokens import claims_of
from tests.support.totp import code_at, mailed_code

Clock = time_machine.Traveller

PATH = "/api/v1/auth/mfa/enroll"
ME = "/api/v1/users/me"


class Enrolment:
    """A sign-in of Alice, who needs a factor and has none."""

    def __init__(self, app: Flask, alice: Caller, mailbox: Mailbox) -> None:
        self.app, self.alice, self.mailbox = app, alice, mailbox
        self.client = app.test_client()
        self.token = first_step(self.client, "alice")

    def options(self, method: str, token: str | None = None) -> TestResponse:
        """Ask for what a factor is made of."""
        body = {"mfa_token": token or self.token, "method": method}
        return self.client.post(f"{PATH}/options", json=body)

    def secret(self) -> str:
        """Set an app up, and return its secret."""
        return str(self.options("totp").get_json()["secret"])

    def passkey(self) -> dict[str, Any]:
        """Return a browser's answer with a new passkey."""
        options = self.options("passkey").get_json()["public_key"]
        return Authenticator(ORIGIN).create(options)

    def mailed_code(self) -> str:
        """Return the code that was mailed."""
        return mailed_code(self.app, self.mailbox, self.alice)

    def confirm(self, **proofs: Any) -> TestResponse:
        """Confirm the factor."""
        return self.client.post(PATH, json={"mfa_token": self.token, **proofs})


@pytest.fixture
def enrolment(app: Flask, alice: Caller) -> Enrolment:
    switch_mfa_on(app, alice.id)
    return Enrolment(app, alice, open_mailbox(app))


def failures(app: Flask) -> list[str]:
    return [
        event["details"]["reason"] for event in audit_trail(app, "session.second_factor_failed")
    ]


@both_databases
@pytest.mark.usefixtures("clock")
def test_an_app_and_the_mailed_code_complete_the_sign_in(app: Flask, enrolment: Enrolment) -> None:
    made = enrolment.options("totp").get_json()
    assert made.keys() == {"secret", "uri", "qr_svg"}
    email_code = enrolment.mailed_code()
    response = enrolment.confirm(totp_code=code_at(made["secret"], now()), email_code=email_code)
    assert response.status_code == 200, response.get_json()
    tokens = response.get_json()
    assert len(tokens["recovery_codes"]) == 10
    claims = claims_of(tokens["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal2", ["email", "otp", "pwd", "mfa"])
    assert claims["email_verified"]
    # The session of the password alone has ended.
    assert count_sessions(app, revoked_at=None) == 1
    assert live_session_row(app, tokens["session_id"])["aal"] == 2
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    client = app.test_client()
    assert client.get(f"{ME}/recovery-codes", headers=headers).get_json()["left"] == 10
    again = sign_in_with_totp(client, "alice", made["secret"])
    assert_problem(again, 401, "code_reused")
    token = first_step(client, "alice")
    code = tokens["recovery_codes"][0]
    assert second_step(client, token, recovery_code=code).status_code == 200


def test_a_passkey_and_the_mailed_code_complete_it_at_two_factors(
    app: Flask, enrolment: Enrolment
) -> None:
    """Without attestation a registration signs nothing, so it is not phishing-resistant."""
    credential = enrolment.passkey()
    code = enrolment.mailed_code()
    response = enrolment.confirm(credential=credential, email_code=code, name="Phone")
    claims = claims_of(response.get_json()["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal2", ["email", "pwd", "mfa"])
    assert len(response.get_json()["recovery_codes"]) == 10
    assert login(app.test_client(), "alice").get_json()["methods"] == ["passkey", "recovery_code"]
    work(app)
    added = [letter for letter in enrolment.mailbox.letters if "Phone" in letter.text]
    assert len(added) == 1


def test_no_mail_is_expected_where_addresses_are_not_verified(
    make_app: Callable[..., Flask], alice: Caller
) -> None:
    app = make_app(email_verification=EmailVerification.OFF)
    switch_mfa_on(app, alice.id)
    enrolment = Enrolment(app, alice, open_mailbox(app))
    code = code_at(enrolment.secret(), now())
    assert enrolment.confirm(totp_code=code).status_code == 200


def test_a_refused_confirmation_spends_neither_code(
    clock: Clock, app: Flask, enrolment: Enrolment
) -> None:
    secret, email_code = enrolment.secret(), enrolment.mailed_code()
    right = code_at(secret, now())
    wrong = f"{(int(right) + 500_000) % 1_000_000:06}"
    other = f"{(int(email_code) + 1) % 10**8:08}"
    response = enrolment.confirm(totp_code=wrong, email_code=email_code)
    assert_problem(response, 401, "invalid_code")
    response = enrolment.confirm(totp_code=right, email_code=other)
    assert_problem(response, 401, "invalid_code")
    response = enrolment.confirm(totp_code=right)
    assert_problem(response, 422, "validation_failed")
    assert failures(app) == ["wrong_code", "wrong_email_code"]
    assert count_sessions(app) == 1
    assert enrolment.confirm(totp_code=right, email_code=email_code).status_code == 200


def test_five_attempts_end_it(app: Flask, enrolment: Enrolment) -> None:
    right = code_at(enrolment.secret(), now())
    for _ in range(5):
        response = enrolment.confirm(totp_code=right, email_code="00000000")
        assert_problem(response, 401, "invalid_code")
    response = enrolment.confirm(totp_code=right, email_code="00000000")
    assert_problem(response, 401, "mfa_token_invalid")


def test_a_set_up_and_a_mailed_code_are_those_of_their_own_sign_in(
    app: Flask, enrolment: Enrolment
) -> None:
    code = enrolment.mailed_code()
    other = Enrolment(app, enrolment.alice, enrolment.mailbox)
    other_code = other.mailed_code()
    right = code_at(enrolment.secret(), now())
    assert_problem(other.confirm(totp_code=right, email_code=other_code), 409, "no_set_up")
    credential = enrolment.passkey()
    response = other.confirm(credential=credential, email_code=other_code)
    assert_problem(response, 401, "invalid_passkey")
    right = code_at(other.secret(), now())
    assert_problem(other.confirm(totp_code=right, email_code=code), 401, "invalid_code")
    assert other.confirm(totp_code=right, email_code=other_code).status_code == 200


def test_after_a_mailed_code_a_passkey_alone_makes_two_factors(
    app: Flask, enrolment: Enrolment
) -> None:
    alice = enrolment.alice
    with app.app_context(), transaction():
        _, enrolment.token = begin_pending(
            get_credentials(alice.id),
            purpose=Purpose.ENROLL,
            proofs={Proof.EMAIL_CODE},
            device_id=None,
            request=RequestInfo(),
            settings=SETTINGS.get(),
            now=now(),
        )
    problem = assert_problem(enrolment.options("totp"), 422, "validation_failed")
    assert set(problem["errors"]) == {"method"}
    response = enrolment.confirm(credential=enrolment.passkey())
    claims = claims_of(response.get_json()["access_token"])
    assert (claims["acr"], claims["amr"]) == ("aal2", ["email", "mfa"])


def test_it_is_spent_once(app: Flask, enrolment: Enrolment) -> None:
    proofs = {
        "totp_code": code_at(enrolment.secret(), now()),
        "email_code": enrolment.mailed_code(),
    }
    assert enrolment.confirm(**proofs).status_code == 200
    assert_problem(enrolment.confirm(**proofs), 401, "mfa_token_invalid")
    assert_problem(enrolment.options("totp"), 401, "mfa_token_invalid")


@pytest.mark.parametrize("gains", [give_totp, give_recovery_codes])
def test_an_account_that_has_a_factor_by_now_does_not_enrol(
    app: Flask, enrolment: Enrolment, gains: Callable[..., object]
) -> None:
    right, email_code = code_at(enrolment.secret(), now()), enrolment.mailed_code()
    gains(app, enrolment.alice.id)
    response = enrolment.confirm(totp_code=right, email_code=email_code)
    assert_problem(response, 401, "mfa_token_invalid")
    assert_problem(enrolment.options("totp"), 401, "mfa_token_invalid")
    assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")


def test_tokens_of_other_sign_ins_do_not_enrol(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    client = app.test_client()
    token = first_step(client, "alice")
    body = {"mfa_token": token, "method": "totp"}
    assert_problem(client.post(f"{PATH}/options", json=body), 401, "mfa_token_invalid")
    body = {"mfa_token": token, "totp_code": "000000", "email_code": "00000000"}
    assert_problem(client.post(PATH, json=body), 401, "mfa_token_invalid")


def test_it_lasts_a_quarter_of_an_hour(clock: Clock, app: Flask, enrolment: Enrolment) -> None:
    clock.shift(timedelta(minutes=15))
    assert_problem(enrolment.options("totp"), 401, "mfa_token_expired")


def test_a_deactivated_account_does_not_enrol(app: Flask, enrolment: Enrolment) -> None:
    with app.app_context():
        deactivate(enrolment.alice.id, actor=VISITOR, request=RequestInfo())
    assert_problem(enrolment.options("totp"), 403, "account_disabled")


def test_a_method_of_another_name_is_refused(
    make_app: Callable[..., Flask], alice: Caller, enrolment: Enrolment
) -> None:
    for method in ("recovery_code", "sms", ""):
        problem = assert_problem(enrolment.options(method), 422, "validation_failed")
        assert set(problem["errors"]) == {"method"}
    app = make_app(passkey_rp_id="")
    without = Enrolment(app, alice, open_mailbox(app))
    assert_problem(without.options("passkey"), 422, "validation_failed")
    assert login(app.test_client(), "alice").get_json()["methods"] == ["totp"]


def test_both_factors_or_none_are_refused(enrolment: Enrolment) -> None:
    credential, code = enrolment.passkey(), enrolment.mailed_code()
    for proofs in ({}, {"totp_code": "000000", "credential": credential}):
        response = enrolment.confirm(email_code=code, **proofs)
        assert_problem(response, 422, "validation_failed")


def test_the_address_is_verified_by_it(app: Flask, enrolment: Enrolment) -> None:
    right, email_code = code_at(enrolment.secret(), now()), enrolment.mailed_code()
    assert enrolment.confirm(totp_code=right, email_code=email_code).status_code == 200
    with app.app_context():
        assert get_user(enrolment.alice.id).email_verified
