"""PUT /users/me/password."""

from typing import Any

import time_machine
from flask import Flask
from passlib.hash import bcrypt
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserve.database.transactions import transaction
from authserve.users.models import User
from tests.support.clients import PASSWORD, Caller, login
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases, on_sqlite
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, live_session_row

pytestmark = both_databases

Clock = time_machine.Traveller

PATH = "/api/v1/users/me/password"
NEW = "another horse, another staple"


def put(caller: Caller, current: object, new: object) -> TestResponse:
    return caller.put(PATH, json={"current_password": current, "new_password": new})


def test_every_other_session_ends_and_the_current_one_stays(
    app: Flask, alice: Caller, charlie: Caller
) -> None:
    others = [login(app.test_client(), "alice").get_json() for _ in range(2)]
    assert put(alice, PASSWORD, NEW).status_code == 204

    for other in others:
        row = live_session_row(app, other["session_id"])
        assert row["revoke_reason"] == "password_changed"
        body = {"refresh_token": other["refresh_token"]}
        refused = app.test_client().post("/api/v1/auth/refresh", json=body)
        assert_problem(refused, 401, "session_revoked")
    assert alice.get("/api/v1/users/me").status_code == 200
    body = {"refresh_token": alice.tokens["refresh_token"]}
    assert app.test_client().post("/api/v1/auth/refresh", json=body).status_code == 200
    assert charlie.get("/api/v1/users/me").status_code == 200
    assert_problem(login(app.test_client(), "alice"), 401, "invalid_credentials")
    assert login(app.test_client(), "alice", NEW).status_code == 200
    (changed,) = audit_trail(app, "user.password_changed")
    assert changed["actor_audit_id"] == changed["subject_audit_id"] is not None
    (ended,) = audit_trail(app, "session.revoked")
    assert ended["details"] == {"reason": "password_changed", "count": 2}


@on_sqlite
def test_a_wrong_current_password_changes_nothing(app: Flask, alice: Caller) -> None:
    other = login(app.test_client(), "alice").get_json()
    assert_problem(put(alice, "wrong", NEW), 403, "wrong_password")
    assert live_session_row(app, other["session_id"])["revoked_at"] is None
    assert login(app.test_client(), "alice").status_code == 200
    assert len(audit_trail(app, "session.reauthentication_failed")) == 1
    assert audit_trail(app, "user.password_changed") == []


@on_sqlite
def test_a_weak_new_password_is_refused_under_its_own_name(app: Flask, alice: Caller) -> None:
    weak = ("short", "alllowercase1", "alice@example.com", "Authserve1!", "Password1", "a" * 257)
    for new in weak:
        response = put(alice, PASSWORD, new)
        assert list(assert_problem(response, 422, "validation_failed")["errors"]) == [
            "new_password"
        ]
    # The policy is checked before the current password, so nothing is counted either.
    assert_problem(put(alice, "wrong", "short"), 422, "validation_failed")
    assert audit_trail(app, "session.reauthentication_failed") == []
    assert login(app.test_client(), "alice").status_code == 200


@on_sqlite
def test_it_shares_the_throttle_of_reauthentication(clock: Clock, alice: Caller) -> None:
    for _ in range(3):
        assert_problem(put(alice, "wrong", NEW), 403, "wrong_password")
    for _ in range(2):
        response = alice.post("/api/v1/auth/reauthenticate", json={"password": "wrong"})
        assert_problem(response, 403, "wrong_password")
    response = put(alice, PASSWORD, NEW)
    assert_problem(response, 429, "too_many_attempts")
    assert response.headers["Retry-After"] == "30"
    response = alice.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD})
    assert_problem(response, 429, "too_many_attempts")
    clock.shift(30)
    assert put(alice, PASSWORD, NEW).status_code == 204


@on_sqlite
def test_it_wants_two_passwords_and_nothing_else(app: Flask, alice: Caller) -> None:
    good: dict[str, Any] = {"current_password": PASSWORD, "new_password": NEW}
    for changes in ({"current_password": None}, {"new_password": 5}, {"user_id": "x"}):
        assert_problem(alice.put(PATH, json=good | changes), 422, "validation_failed")
    for left_out in good:
        body = {name: value for name, value in good.items() if name != left_out}
        assert_problem(alice.put(PATH, json=body), 422, "validation_failed")
    assert_problem(app.test_client().put(PATH, json=good), 401, "authentication_required")


def test_of_two_changes_at_once_one_wins(app: Flask, alice: Caller) -> None:
    other = Caller(app.test_client(), alice.user, login(app.test_client(), "alice").get_json())
    answers = all_at_once(
        [
            lambda: persistently(lambda: put(alice, PASSWORD, f"{NEW} A")),
            lambda: persistently(lambda: put(other, PASSWORD, f"{NEW} B")),
        ]
    )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    # The other one's password was replaced before it was confirmed, or after; or its session
    # had ended when it came.
    assert {403, 401} & set(statuses)
    winner = "A" if statuses[0] == 204 else "B"
    assert login(app.test_client(), "alice", f"{NEW} {winner}").status_code == 200


def test_a_change_and_sign_ins_with_the_old_password_leave_only_the_current_session(
    app: Flask, alice: Caller
) -> None:
    def sign_in() -> TestResponse:
        return persistently(lambda: login(app.test_client(), "alice"))

    answers = all_at_once([*[sign_in] * 4, lambda: put(alice, PASSWORD, NEW), *[sign_in] * 4])
    assert answers[4].status_code == 204
    for answer in (*answers[:4], *answers[5:]):
        if answer.status_code == 200:
            row = live_session_row(app, answer.get_json()["session_id"])
            assert row["revoke_reason"] == "password_changed"
    assert alice.get("/api/v1/users/me").status_code == 200


def test_a_hash_replaced_meanwhile_does_not_make_the_password_wrong(
    app: Flask, alice: Caller
) -> None:
    """A sign-in may store the same password's hash anew between its check and its change."""
    with app.app_context(), transaction() as session:
        old = bcrypt.using(rounds=4).hash(PASSWORD)
        session.execute(update(User).values(password_hash=old))

    def sign_in() -> TestResponse:
        return persistently(lambda: login(app.test_client(), "alice"))

    answers = all_at_once([*[sign_in] * 5, lambda: put(alice, PASSWORD, NEW), *[sign_in] * 5])
    assert answers[5].status_code == 204
