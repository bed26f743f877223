"""POST /auth/reauthenticate, and what a token that is not fresh may not do."""

from datetime import timedelta

import time_machine
from flask import Flask

from authserve.core.clock import now
from tests.support.clients import PASSWORD, Caller, login
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, live_session_row
from tests.support.tokens import claims_of, forge

Clock = time_machine.Traveller

PATH = "/api/v1/auth/reauthenticate"
CHALLENGE = 'Bearer error="insufficient_user_authentication", max_age=300'


def seconds() -> int:
    return int(now().timestamp())


def refresh(alice: Caller) -> None:
    body = {"refresh_token": alice.tokens["refresh_token"]}
    alice.tokens |= alice.client.post("/api/v1/auth/refresh", json=body).get_json()


def test_a_sign_in_is_fresh_for_five_minutes(clock: Clock, alice: Caller) -> None:
    assert claims_of(alice.tokens["access_token"])["fresh"] == seconds() + 300


def test_it_gives_a_fresh_access_token_of_the_same_session(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    clock.shift(120)
    refresh(alice)
    assert claims_of(alice.tokens["access_token"])["fresh"] is False
    before = live_session_row(app, alice.session_id)
    clock.shift(120)

    response = alice.post(PATH, json={"password": PASSWORD})

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    token = response.get_json()["access_token"]
    assert response.get_json() == {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 600,
    }
    claims = claims_of(token)
    assert claims["fresh"] == seconds() + 300
    assert claims["auth_time"] == seconds()
    assert claims["sid"] == alice.tokens["session_id"]
    assert live_session_row(app, alice.session_id) == {**before, "auth_time": now()}
    (event,) = audit_trail(app, "session.reauthenticated")
    assert event["actor_audit_id"] == event["subject_audit_id"] is not None


def test_the_refresh_token_keeps_working(clock: Clock, alice: Caller) -> None:
    assert alice.post(PATH, json={"password": PASSWORD}).status_code == 200
    refresh(alice)
    assert alice.get("/api/v1/users/me").status_code == 200
    assert claims_of(alice.tokens["access_token"])["fresh"] is False


def test_a_stale_token_may_not_delete_the_account(clock: Clock, alice: Caller) -> None:
    clock.shift(timedelta(seconds=300))
    for _ in ("when five minutes are over", "when it is refreshed"):
        response = alice.delete("/api/v1/users/me")
        assert_problem(response, 401, "reauthentication_required")
        assert response.headers["WWW-Authenticate"] == CHALLENGE
        refresh(alice)
    token = alice.post(PATH, json={"password": PASSWORD}).get_json()["access_token"]
    alice.tokens["access_token"] = token
    assert alice.delete("/api/v1/users/me").status_code == 204


def test_a_token_is_fresh_until_the_last_instant(clock: Clock, alice: Caller) -> None:
    clock.shift(timedelta(seconds=300) - timedelta(microseconds=1))
    assert alice.delete("/api/v1/users/me").status_code == 204


def test_freshness_is_decided_by_the_claim_alone(clock: Clock, app: Flask, alice: Caller) -> None:
    """Another device that has just reauthenticated makes no other token fresh."""
    good = forge(app, "access", alice.tokens["access_token"])
    for fresh, status in ((False, 401), (seconds(), 401), (0, 401), (seconds() + 1, 204)):
        token = good(fresh=fresh)
        headers = {"Authorization": f"Bearer {token}"}
        assert alice.client.delete("/api/v1/users/me", headers=headers).status_code == status


def test_a_wrong_password_is_refused_and_audited(app: Flask, alice: Caller) -> None:
    before = live_session_row(app, alice.session_id)
    response = alice.post(PATH, json={"password": "wrong"})
    assert_problem(response, 403, "wrong_password")
    assert "WWW-Authenticate" not in response.headers
    assert live_session_row(app, alice.session_id) == before
    (event,) = audit_trail(app, "session.reauthentication_failed")
    assert event["outcome"] == "failure"
    assert event["actor_audit_id"] == event["subject_audit_id"] is not None


def test_it_wants_a_live_session(app: Flask, alice: Caller) -> None:
    other = login(app.test_client(), "alice").get_json()
    assert alice.delete(f"/api/v1/users/me/sessions/{other['session_id']}").status_code == 204
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    response = alice.client.post(PATH, json={"password": PASSWORD}, headers=headers)
    assert_problem(response, 401, "session_revoked")
    response = alice.client.post(PATH, json={"password": PASSWORD})
    assert_problem(response, 401, "authentication_required")


def test_it_wants_a_password_and_nothing_else(alice: Caller) -> None:
    for body in ({}, {"password": ""}, {"password": 5}, {"password": PASSWORD, "user": "bob"}):
        assert_problem(alice.post(PATH, json=body), 422, "validation_failed")
    assert_problem(alice.post(PATH), 400, "malformed_request")
