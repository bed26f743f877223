"""POST /auth/login: the answer to each caller. The throttle has tests of its own."""

import unicodedata
from datetime import timedelta
from typing import Any

import time_machine
from flask import Flask
from passlib.hash import bcrypt
from sqlalchemy import select, update

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import read_all, transaction
from authserve.sessions.policy import MAX_SESSIONS_PER_USER
from authserve.settings.model import EmailVerification
from authserve.users.accounts import deactivate
from authserve.users.models import User
from tests.support.clients import PASSWORD, Caller, login, register
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions
from tests.support.tokens import claims_of, header_of

Clock = time_machine.Traveller


def stored_hash(app: Flask) -> str:
    with app.app_context():
        return str(read_all(select(User.password_hash))[0][0])


def change_user(app: Flask, **columns: Any) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(**columns))


NAMES = (
    "alice",
    "ALICE",
    " alice ",
    "alice@example.com",
    "Alice@EXAMPLE.com",
    " alice@example.com\t",
)


def test_an_account_has_two_names_each_in_any_letter_case(app: Flask, alice: Caller) -> None:
    for name in NAMES:
        assert login(app.test_client(), name).status_code == 200


def test_composed_and_decomposed_letters_are_the_same_password(app: Flask) -> None:
    composed = unicodedata.normalize("NFC", "Ärgernisse überall")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    register(app.test_client(), "alice", password=composed)
    register(app.test_client(), "bob", password=decomposed)
    assert login(app.test_client(), "alice", decomposed).status_code == 200
    assert login(app.test_client(), "bob", composed).status_code == 200


def test_the_tokens_are_what_the_contract_names(clock: Clock, app: Flask, alice: Caller) -> None:
    clock.shift(0.75)
    tokens = login(app.test_client(), "alice").get_json()
    assert {name: value for name, value in tokens.items() if not name.endswith("_token")} == {
        "token_type": "Bearer",
        "expires_in": 600,
        "refresh_expires_in": 14 * 86_400,
        "session_id": tokens["session_id"],
    }
    issued_at = int(now().timestamp())
    claims = claims_of(tokens["access_token"])
    assert claims == {
        "iss": "http://localhost:8000",
        "aud": "authserve",
        "sub": alice.user["id"],
        "sid": tokens["session_id"],
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + 600,
        "jti": claims["jti"],
        "type": "access",
        "client_id": "authserve",
        "fresh": issued_at + 300,
        "roles": ["user"],
        "email_verified": False,
        "amr": ["pwd"],
        "acr": "aal1",
        "auth_time": issued_at,
    }
    header = header_of(tokens["access_token"])
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": header["kid"]}
    assert header_of(tokens["refresh_token"]) == {"alg": "HS256", "typ": "rt+jwt"}
    assert tokens["session_id"] != alice.tokens["session_id"]


def test_no_password_is_too_old(clock: Clock, app: Flask, alice: Caller) -> None:
    clock.shift(timedelta(days=10_000))
    assert login(app.test_client(), "alice").status_code == 200


@both_databases
def test_unknown_names_and_wrong_passwords_are_answered_alike(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    responses = [
        login(client, "alice", "wrong"),
        login(client, "alice@example.com", "wrong"),
        login(client, "unknown"),
        login(client, "unknown@example.com"),
        login(client, "no name at all !"),
        login(client, "@"),
        login(client, "a" * 320),
    ]
    problems = [assert_problem(response, 401, "invalid_credentials") for response in responses]
    assert {response.headers["WWW-Authenticate"] for response in responses} == {"Bearer"}
    assert len({tuple({**p, "correlation_id": ""}.items()) for p in problems}) == 1


def test_an_account_without_a_password_is_answered_like_none(app: Flask, alice: Caller) -> None:
    change_user(app, password_hash=None)
    assert_problem(login(app.test_client(), "alice"), 401, "invalid_credentials")
    assert_problem(login(app.test_client(), "alice", "None"), 401, "invalid_credentials")


def test_the_state_of_an_account_is_revealed_after_the_right_password_alone(make_app: Any) -> None:
    app = make_app()
    register(app.test_client(), "alice")
    strict = make_app(email_verification=EmailVerification.REQUIRED)
    assert_problem(login(strict.test_client(), "alice", "wrong"), 401, "invalid_credentials")
    assert_problem(login(strict.test_client(), "alice"), 403, "email_not_verified")

    change_user(app, is_active=False)
    for each in (app, strict):
        assert_problem(login(each.test_client(), "alice", "wrong"), 401, "invalid_credentials")
        assert_problem(login(each.test_client(), "alice"), 403, "account_disabled")
    reasons = [e["details"]["reason"] for e in audit_trail(app, "session.sign_in_failed")]
    assert reasons == [
        "wrong_password",
        "email_not_verified",
        *["wrong_password", "account_disabled"] * 2,
    ]
    assert count_sessions(app) == 0


def test_a_failure_is_audited_with_its_reason(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    login(client, "alice", "wrong")
    login(client, "unknown", "wrong")
    known, unknown = audit_trail(app, "session.sign_in_failed")
    assert (known["outcome"], known["details"]) == ("failure", {"reason": "wrong_password"})
    assert known["subject_audit_id"] is not None
    assert known["actor_audit_id"] is None
    assert (unknown["subject_audit_id"], unknown["details"]) == (
        None,
        {"reason": "unknown_identifier"},
    )


@both_databases
def test_twenty_at_once_all_get_in(app: Flask, alice: Caller) -> None:
    answers = all_at_once([lambda: login(app.test_client(), "alice")] * 20)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.get_json()["session_id"] for answer in answers}) == 20
    assert count_sessions(app, revoked_at=None) == 21


@both_databases
def test_twenty_at_once_get_in_while_their_hash_is_replaced(app: Flask, alice: Caller) -> None:
    """The first of them stores a hash of today's parameters; the others had verified the old."""
    change_user(app, password_hash=bcrypt.using(rounds=4).hash(PASSWORD))
    answers = all_at_once([lambda: login(app.test_client(), "alice")] * 20)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert stored_hash(app).startswith("$argon2id$")
    assert login(app.test_client(), "alice").status_code == 200


@both_databases
def test_sixty_at_once_leave_fifty_sessions(app: Flask, alice: Caller) -> None:
    calls = [lambda: persistently(lambda: login(app.test_client(), "alice"))] * 60
    answers = all_at_once(calls)
    assert [answer.status_code for answer in answers] == [200] * 60
    assert count_sessions(app, revoked_at=None) == MAX_SESSIONS_PER_USER
    assert count_sessions(app, revoke_reason="evicted") == 61 - MAX_SESSIONS_PER_USER
    evictions = audit_trail(app, "session.revoked")
    assert len({event["details"]["session_id"] for event in evictions}) == len(evictions)
    assert len(evictions) == 61 - MAX_SESSIONS_PER_USER


@both_databases
def test_a_deactivation_beside_sign_ins_leaves_no_session(app: Flask, alice: Caller) -> None:
    def switch_off() -> None:
        with app.app_context():
            deactivate(alice.id, actor=VISITOR, request=RequestInfo())

    def sign_in() -> None:
        status = persistently(lambda: login(app.test_client(), "alice")).status_code
        assert status in (200, 401, 403)

    all_at_once([*[sign_in] * 5, switch_off, *[sign_in] * 5])
    assert count_sessions(app, revoked_at=None) == 0
