"""DELETE /users/me."""

from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserve.database.transactions import read_all
from authserve.rbac.models import UserRole
from authserve.sessions.models import Session
from authserve.users.models import User
from tests.support.clients import Caller, login, register
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail

PATH = "/api/v1/users/me"

ACTIONS = ("user.registered", "session.started", "session.sign_in_failed", "user.deleted")


def count(app: Flask, model: type, column: str, caller: Caller) -> int:
    with app.app_context():
        statement = select(func.count()).where(getattr(model, column) == caller.id)
        return int(read_all(statement)[0][0])


@both_databases
def test_the_account_its_sessions_and_its_roles_are_gone(
    app: Flask, alice: Caller, charlie: Caller
) -> None:
    other = login(app.test_client(), "alice").get_json()
    assert alice.delete(PATH).status_code == 204

    for model, column in ((User, "id"), (Session, "user_id"), (UserRole, "user_id")):
        assert count(app, model, column, alice) == 0
        assert count(app, model, column, charlie) > 0
    assert_problem(alice.get(PATH), 401, "session_revoked")
    for tokens in (alice.tokens, other):
        body = {"refresh_token": tokens["refresh_token"]}
        refused = app.test_client().post("/api/v1/auth/refresh", json=body)
        assert_problem(refused, 401, "session_revoked")
    assert_problem(login(app.test_client(), "alice"), 401, "invalid_credentials")
    assert charlie.get(PATH).status_code == 200


def test_a_second_deletion_is_refused(alice: Caller) -> None:
    assert alice.delete(PATH).status_code == 204
    assert_problem(alice.delete(PATH), 401, "session_revoked")


@both_databases
def test_its_audit_events_stay_without_details(app: Flask, alice: Caller, charlie: Caller) -> None:
    login(app.test_client(), "alice", "wrong")
    login(app.test_client(), "charlie", "wrong")
    before = audit_trail(app, *ACTIONS)
    assert alice.delete(PATH).status_code == 204
    after = audit_trail(app, *ACTIONS)

    assert [event["id"] for event in after[:-1]] == [event["id"] for event in before]
    hers = after[-1]["subject_audit_id"]
    assert after[-1]["action"] == "user.deleted"
    assert after[-1]["actor_audit_id"] == hers
    for event in after:
        is_hers = hers in (event["subject_audit_id"], event["actor_audit_id"])
        assert (event["details"] is None) is is_hers, event
        assert (event["ip"] is None) is is_hers, event
    assert alice.user["email"] not in repr(after)


def test_the_address_is_free_again_for_another_account(app: Flask, alice: Caller) -> None:
    assert alice.delete(PATH).status_code == 204
    again = register(app.test_client(), "alice", username="alice2")
    assert again.status_code == 201
    assert again.get_json()["id"] != alice.user["id"]
    assert_problem(alice.get(PATH), 401, "session_revoked")


def test_the_last_administrator_stays(app: Flask, admin: Caller) -> None:
    assert_problem(admin.delete(PATH), 409, "last_admin")
    assert admin.get(PATH).status_code == 200
    assert audit_trail(app, "user.deleted") == []


def test_it_wants_a_token(app: Flask) -> None:
    assert_problem(app.test_client().delete(PATH), 401, "authentication_required")


@both_databases
def test_a_deletion_beside_sign_ins_leaves_no_session(app: Flask, alice: Caller) -> None:
    def sign_in() -> TestResponse:
        return persistently(lambda: login(app.test_client(), "alice"))

    def delete() -> TestResponse:
        return persistently(lambda: alice.delete(PATH))

    answers = all_at_once([*[sign_in] * 4, delete, *[sign_in] * 4])
    assert answers[4].status_code == 204
    assert {answer.status_code for answer in answers if answer is not answers[4]} <= {200, 401, 429}
    assert count(app, Session, "user_id", alice) == 0
