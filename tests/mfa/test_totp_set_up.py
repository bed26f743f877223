"""Setting an authenticator app up: what it needs, what it does, and what it leaves alone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.auth import factor_confirmation
from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.errors import ReauthenticationRequiredError
from authserve.database.transactions import transaction
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.email_codes import FoundCode, spend_code
from authserve.mfa.totp import CheckedCode, check_code, find_totp
from authserve.mfa.totp_set_up import purge_dead_set_ups, set_up_totp
from authserve.settings.model import EmailVerification, Mfa
from authserve.users.accounts import ref_of
from authserve.users.email_changes import set_email
from authserve.users.lookup import get_user
from authserve.users.mfa_columns import switch_mfa
from tests.factories import REQUEST, make_session, make_user
from tests.support.clients import Caller, login, register_caller, sign_in
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.problems import assert_problem
from tests.support.rows import change_session, live_session_row, session_row
from tests.support.tokens import claims_of
from tests.support.totp import PATH, App, add_app, code_at, mailed_code

ME = "/api/v1/users/me"
CONFIRM = f"{PATH}/confirm"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    """Where all mail arrives."""
    return open_mailbox(app)


@pytest.fixture
def phone(app: Flask, alice: Caller, mailbox: Mailbox) -> App:
    """Alice's app, confirmed in her session."""
    return add_app(app, alice, mailbox=mailbox)


def test_the_first_factor_needs_both_codes_and_switches_mfa_on(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    other = sign_in(alice.client, "alice", user=alice.user)
    set_up = alice.post(PATH)
    assert set_up.status_code == 201
    body = set_up.get_json()
    assert body["expires_in"] == 900
    assert body["email_code_required"] is True
    assert body["secret"] in body["uri"]
    assert body["qr_svg"].startswith("<svg")
    code, email_code = code_at(body["secret"], now()), mailed_code(app, mailbox, alice)
    answer = alice.post(CONFIRM, json={"code": code, "email_code": email_code})
    assert answer.status_code == 200
    confirmed = answer.get_json()
    assert len(confirmed["recovery_codes"]) == 10
    assert confirmed.keys() == {"recovery_codes", "access_token", "token_type", "expires_in"}
    row = live_session_row(app, alice.session_id)
    assert (row["aal"], row["amr"]) == (2, ["email", "otp", "pwd", "mfa"])
    old = session_row(app, other.session_id)
    assert old is not None
    assert old["revoke_reason"] == "mfa_enabled"
    claims = claims_of(confirmed["access_token"])
    assert claims["acr"] == "aal2"
    assert claims["fresh"] > now().timestamp()
    alice.tokens["access_token"] = confirmed["access_token"]
    assert alice.get(ME).get_json()["mfa_enabled"] is True
    assert alice.get(ME).get_json()["email_verified"] is True
    assert_problem(login(app.test_client(), "alice"), 403, "mfa_required")


def test_it_is_shown_and_told(app: Flask, alice: Caller, phone: App, mailbox: Mailbox) -> None:
    state = alice.get(f"{ME}/mfa").get_json()
    assert state.pop("totp").keys() == {"created_at", "last_used_at"}
    assert state == {
        "enabled": True,
        "required": False,
        "enroll_by": None,
        "methods": ["totp", "recovery_code"],
        "passkeys": 0,
        "recovery_codes_left": 10,
        "sleeping_roles": [],
    }
    work(app)
    told = [letter.subject for letter in mailbox.to("alice@example.com")][-2:]
    assert len(set(told)) == 2, told


@pytest.mark.usefixtures("clock")
def test_a_wrong_code_spends_neither(app: Flask, alice: Caller, mailbox: Mailbox) -> None:
    secret = alice.post(PATH).get_json()["secret"]
    email_code = mailed_code(app, mailbox, alice)
    right, wrong = code_at(secret, now()), code_at(secret, now() + timedelta(hours=1))
    wrong_mail = "1" * 8 if email_code != "1" * 8 else "2" * 8
    for body in (
        {"code": wrong, "email_code": email_code},
        {"code": right, "email_code": wrong_mail},
    ):
        assert_problem(alice.post(CONFIRM, json=body), 403, "invalid_code")
    problem = assert_problem(alice.post(CONFIRM, json={"code": right}), 422, "validation_failed")
    assert problem["errors"].keys() == {"email_code"}
    assert alice.get(f"{ME}/mfa").get_json()["enabled"] is False
    both = {"code": right, "email_code": email_code}
    assert alice.post(CONFIRM, json=both).status_code == 200
    assert_problem(alice.post(CONFIRM, json=both), 409, "no_set_up")


@pytest.mark.parametrize(
    "code", ["12345", "1234567", 123456, " 123456", "123456\n", "１２３４５６", "12345a", None]
)
def test_a_code_of_another_form_is_refused(alice: Caller, code: object) -> None:
    alice.post(PATH)
    assert_problem(alice.post(CONFIRM, json={"code": code}), 422, "validation_failed")


def test_a_newer_set_up_counts_and_only_in_its_session(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    other = sign_in(alice.client, "alice", user=alice.user)
    first = alice.post(PATH).get_json()["secret"]
    second = alice.post(PATH).get_json()["secret"]
    body = {"code": code_at(first, now()), "email_code": mailed_code(app, mailbox, alice)}
    assert_problem(alice.post(CONFIRM, json=body), 403, "invalid_code")
    body["code"] = code_at(second, now())
    assert_problem(other.post(CONFIRM, json=body), 409, "no_set_up")
    other.post(PATH)
    assert_problem(alice.post(CONFIRM, json=body), 409, "no_set_up")


def test_a_set_up_lasts_fifteen_minutes(make_app, clock: time_machine.Traveller) -> None:
    app = make_app(email_verification=EmailVerification.OFF)
    alice = register_caller(app, "alice")
    set_up = alice.post(PATH).get_json()
    assert set_up["email_code_required"] is False
    body = {"code": code_at(set_up["secret"], now() + timedelta(minutes=15))}
    clock.shift(15 * 60)
    refresh(alice)
    assert_problem(alice.post(CONFIRM, json=body), 409, "no_set_up")
    clock.shift(15 * 60 + 1)
    with app.app_context():
        assert list(purge_dead_set_ups()) == [1]


def test_a_later_one_needs_a_second_factor_first(app: Flask, alice: Caller, phone: App) -> None:
    change_session(app, alice.session_id, aal=1)
    answer = alice.post(PATH)
    assert_problem(answer, 401, "step_up_required")
    assert 'acr_values="aal2"' in answer.headers["WWW-Authenticate"]
    assert "max_age" not in answer.headers["WWW-Authenticate"]


def refresh(caller: Caller) -> None:
    """Let a caller go on with a token that is not fresh."""
    body = {"refresh_token": caller.tokens["refresh_token"]}
    caller.tokens = caller.client.post("/api/v1/auth/refresh", json=body).get_json()


def test_a_first_one_needs_a_fresh_token(alice: Caller) -> None:
    refresh(alice)
    assert_problem(alice.post(PATH), 401, "reauthentication_required")


def test_level_and_freshness_are_asked_for_at_once(app: Flask, alice: Caller, phone: App) -> None:
    refresh(alice)
    change_session(app, alice.session_id, aal=1)
    challenge = alice.post(PATH).headers["WWW-Authenticate"]
    assert 'acr_values="aal2", max_age=300' in challenge


def test_a_session_without_a_password_gives_it_first(app: Flask) -> None:
    """A mailed code and an app are one factor, and the account would need two from then on."""
    with app.app_context():
        user = make_user("alice")
        session = make_session(user)
        actor = Actor(user=user, session_id=session.id)
        with pytest.raises(ReauthenticationRequiredError):
            set_up_totp(user, amr=("email",), actor=actor, request=REQUEST)
        assert set_up_totp(user, amr=("email", "pwd"), actor=actor, request=REQUEST)


def test_the_former_one_works_until_the_newer_is_confirmed(
    app: Flask, alice: Caller, phone: App
) -> None:
    set_up = alice.post(PATH).get_json()
    assert set_up["email_code_required"] is False
    assert alice.get(f"{ME}/mfa").get_json()["totp"] is not None
    body = {"code": code_at(set_up["secret"], now())}
    answer = alice.post(CONFIRM, json=body)
    assert answer.status_code == 200
    assert "recovery_codes" not in answer.get_json(), "the former ones stay"
    assert alice.get(f"{ME}/mfa").get_json()["recovery_codes_left"] == 10


@pytest.mark.usefixtures("clock")
def test_the_confirming_code_is_spent(app: Flask, alice: Caller, phone: App) -> None:
    with app.app_context():
        found = find_totp(alice.id, now=now())
        assert found is not None
        assert check_code(found, phone.code()) is ProofFailure.CODE_REUSED


def test_where_mfa_is_off_an_account_that_has_it_can_begin(make_app: Callable[..., Flask]) -> None:
    app = make_app(mfa=Mfa.OFF)
    alice = register_caller(app, "alice")
    assert_problem(alice.post(PATH), 403, "mfa_off")
    with app.app_context(), transaction():
        switch_mfa(alice.id, is_enabled=True)
    assert alice.post(PATH).status_code == 201


def test_another_address_makes_the_mailed_code_void(
    app: Flask, alice: Caller, mailbox: Mailbox
) -> None:
    body = {"code": code_at(alice.post(PATH).get_json()["secret"], now())}
    body["email_code"] = mailed_code(app, mailbox, alice)
    with app.app_context(), transaction():
        set_email(ref_of(get_user(alice.id)), "other@example.com", email_verified=False)
    assert_problem(alice.post(CONFIRM, json=body), 403, "invalid_code")


def test_a_session_that_ended_meanwhile_confirms_nothing(
    app: Flask, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends between the token check and the transaction."""
    mailbox = open_mailbox(app)
    body = {"code": code_at(alice.post(PATH).get_json()["secret"], now())}
    body["email_code"] = mailed_code(app, mailbox, alice)
    checked = factor_confirmation.check_set_up

    def end_it(*args: Any, **kwargs: Any) -> CheckedCode:
        change_session(app, alice.session_id, revoked_at=now())
        return checked(*args, **kwargs)

    monkeypatch.setattr(factor_confirmation, "check_set_up", end_it)
    assert_problem(alice.post(CONFIRM, json=body), 401, "session_revoked")
    monkeypatch.undo()
    change_session(app, alice.session_id, revoked_at=None)
    assert alice.get(f"{ME}/mfa").get_json()["enabled"] is False
    assert alice.post(CONFIRM, json=body).status_code == 200, "nothing was spent"


def test_a_mailed_code_that_was_spent_meanwhile_confirms_nothing(
    app: Flask, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = open_mailbox(app)
    body = {"code": code_at(alice.post(PATH).get_json()["secret"], now())}
    body["email_code"] = mailed_code(app, mailbox, alice)
    checked = factor_confirmation.check_mailbox_proof

    def check_and_spend(*args: Any, **kwargs: Any) -> FoundCode | None:
        found = checked(*args, **kwargs)
        with transaction():
            assert found is not None
            assert spend_code(found)
        return found

    monkeypatch.setattr(factor_confirmation, "check_mailbox_proof", check_and_spend)
    assert_problem(alice.post(CONFIRM, json=body), 403, "invalid_code")
    assert alice.get(f"{ME}/mfa").get_json()["totp"] is None
