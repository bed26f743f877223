"""POST /auth/logout and /auth/logout-all."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.clock import now
from tests.support.clients import Caller, login
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_session, live_session_row
from tests.support.tokens import Forge, encode, forge

Clock = time_machine.Traveller

LOGOUT = "/api/v1/auth/logout"
LOGOUT_ALL = "/api/v1/auth/logout-all"


def logout(app: Flask, token: str) -> TestResponse:
    return app.test_client().post(LOGOUT, headers={"Authorization": f"Bearer {token}"})


def refresh(app: Flask, token: str) -> dict[str, str]:
    response = app.test_client().post("/api/v1/auth/refresh", json={"refresh_token": token})
    tokens: dict[str, str] = response.get_json()
    return tokens


@both_databases
def test_an_access_token_ends_its_session(app: Flask, alice: Caller) -> None:
    other = login(app.test_client(), "alice").get_json()
    assert alice.post(LOGOUT).status_code == 204
    assert live_session_row(app, alice.session_id)["revoke_reason"] == "logout"
    assert_problem(alice.post(LOGOUT), 401, "session_revoked")
    assert_problem(alice.get("/api/v1/users/me"), 401, "session_revoked")
    assert refresh(app, alice.tokens["refresh_token"])["code"] == "session_revoked"
    assert live_session_row(app, other["session_id"])["revoked_at"] is None
    (event,) = audit_trail(app, "session.revoked")
    assert event["details"] == {"reason": "logout", "session_id": alice.tokens["session_id"]}
    assert event["actor_audit_id"] == event["subject_audit_id"] is not None


def test_an_expired_access_token_ends_its_live_session(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    clock.shift(timedelta(days=13))
    assert_problem(alice.get("/api/v1/users/me"), 401, "token_expired")
    assert_problem(alice.post(LOGOUT_ALL), 401, "token_expired")
    assert alice.post(LOGOUT).status_code == 204
    assert_problem(alice.post(LOGOUT), 401, "session_revoked")


def test_an_expired_session_has_nothing_left_to_end(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    clock.shift(timedelta(days=14))
    assert_problem(alice.post(LOGOUT), 401, "token_expired")
    assert_problem(logout(app, alice.tokens["refresh_token"]), 401, "token_expired")
    assert live_session_row(app, alice.session_id)["revoked_at"] is None


def test_a_refresh_token_ends_its_session(app: Flask, alice: Caller) -> None:
    assert logout(app, alice.tokens["refresh_token"]).status_code == 204
    assert_problem(alice.get("/api/v1/users/me"), 401, "session_revoked")
    assert_problem(logout(app, alice.tokens["refresh_token"]), 401, "session_revoked")


def test_a_superseded_refresh_token_ends_its_session(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    """A holder of one may always end the session; its reuse would end it as well."""
    first = alice.tokens["refresh_token"]
    tokens = refresh(app, refresh(app, first)["refresh_token"])
    clock.shift(60)
    assert logout(app, first).status_code == 204
    assert live_session_row(app, alice.session_id)["revoke_reason"] == "logout"
    assert refresh(app, tokens["refresh_token"])["code"] == "session_revoked"


def test_an_expired_refresh_token_ends_nothing(clock: Clock, app: Flask, alice: Caller) -> None:
    first = alice.tokens["refresh_token"]
    clock.shift(timedelta(days=10))
    tokens = refresh(app, first)
    clock.shift(timedelta(days=5))
    assert_problem(logout(app, first), 401, "token_expired")
    assert live_session_row(app, alice.session_id)["revoked_at"] is None
    assert logout(app, tokens["refresh_token"]).status_code == 204


def test_a_refresh_token_of_another_family_ends_nothing(
    app: Flask, alice: Caller, charlie: Caller, forge_refresh: Forge
) -> None:
    """A stolen signing secret is not enough to sign people out."""
    for forged in (
        forge_refresh(fam=encode(bytes(16))),
        forge_refresh(sub=str(charlie.id)),
        forge(app, "refresh", charlie.tokens["refresh_token"])(sid=str(alice.session_id)),
    ):
        assert_problem(logout(app, forged), 401, "invalid_token")
    assert alice.get("/api/v1/users/me").status_code == 200


def test_it_wants_a_token_and_nothing_else(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    assert_problem(client.post(LOGOUT), 401, "authentication_required")
    assert_problem(client.post(LOGOUT_ALL), 401, "authentication_required")
    body = {"refresh_token": alice.tokens["refresh_token"]}
    assert_problem(alice.post(LOGOUT, json=body), 422, "validation_failed")
    assert alice.get("/api/v1/users/me").status_code == 200
    assert alice.post(LOGOUT, json={}).status_code == 204


@both_databases
def test_logout_all_ends_every_session_of_the_caller(
    clock: Clock, app: Flask, alice: Caller, charlie: Caller
) -> None:
    others = [login(app.test_client(), "alice").get_json() for _ in range(2)]
    expired = login(app.test_client(), "alice").get_json()["session_id"]
    change_session(app, expired, expires_at=now())
    assert alice.post(LOGOUT_ALL).status_code == 204
    for tokens in (*others, alice.tokens):
        assert live_session_row(app, tokens["session_id"])["revoke_reason"] == "logout_all"
        assert refresh(app, tokens["refresh_token"])["code"] == "session_revoked"
    assert_problem(alice.post(LOGOUT_ALL), 401, "session_revoked")
    assert charlie.get("/api/v1/users/me").status_code == 200
    (event,) = audit_trail(app, "session.revoked")
    assert event["details"]["reason"] == "logout_all"


@pytest.mark.parametrize("body", [None, {}, {"include": []}, {"include": ["api-keys", "apps"]}])
def test_logout_everywhere_can_include_what_there_is(
    alice: Caller, body: dict[str, object] | None
) -> None:
    assert alice.post(LOGOUT_ALL, json=body).status_code == 204
    assert_problem(alice.get("/api/v1/users/me"), 401, "session_revoked")


@pytest.mark.parametrize(
    "body", [{"include": ["everything"]}, {"include": "apps"}, {"include": ["apps"] * 3}, {"x": 1}]
)
def test_logout_everywhere_refuses_what_it_does_not_know(
    alice: Caller, body: dict[str, object]
) -> None:
    assert_problem(alice.post(LOGOUT_ALL, json=body), 422, "validation_failed")
    assert alice.get("/api/v1/users/me").status_code == 200
