"""POST /auth/refresh."""

import logging
from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, insert, update
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.rbac.models import Role, UserRole
from authserve.users.models import User
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_session, live_session_row
from tests.support.tokens import claims_of, encode, forge

Clock = time_machine.Traveller

PATH = "/api/v1/auth/refresh"


def refresh(client: Any, token: str) -> TestResponse:
    response: TestResponse = client.post(PATH, json={"refresh_token": token})
    return response


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_it_gives_a_new_pair_of_the_same_session(clock: Clock, alice: Caller) -> None:
    clock.shift(60)
    response = refresh(alice.client, alice.tokens["refresh_token"])
    tokens = response.get_json()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert tokens == {
        "access_token": tokens["access_token"],
        "token_type": "Bearer",
        "expires_in": 600,
        "refresh_token": tokens["refresh_token"],
        "refresh_expires_in": 14 * 86_400,
        "session_id": alice.tokens["session_id"],
    }
    assert tokens["access_token"] != alice.tokens["access_token"]
    assert tokens["refresh_token"] != alice.tokens["refresh_token"]
    me = alice.client.get("/api/v1/users/me", headers=bearer(tokens["access_token"]))
    assert me.status_code == 200


@both_databases
@pytest.mark.parametrize("roles", [(), ("user",), ("zoo-keeper", "user", "admin", "a.b_c")])
def test_it_returns_the_user_as_they_are_now(
    make_app: Callable[..., Flask], roles: tuple[str, ...]
) -> None:
    app = make_app()
    alice, bob = register_caller(app, "alice"), register_caller(app, "bob")
    with app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == alice.id).values(email_verified=True))
        session.execute(delete(UserRole))
        for name in ("zoo-keeper", "a.b_c"):
            session.add(Role(name=name, created_at=now(), updated_at=now()))
        session.flush()
        # The roles of another user must not leak.
        session.add(UserRole(user_id=bob.id, role_name="admin"))
        if roles:
            rows = [{"user_id": alice.id, "role_name": role} for role in roles]
            session.execute(insert(UserRole), rows)
    tokens = refresh(alice.client, alice.tokens["refresh_token"]).get_json()
    retried = refresh(alice.client, alice.tokens["refresh_token"]).get_json()
    for pair in (tokens, retried):
        claims = claims_of(pair["access_token"])
        assert claims["roles"] == sorted(roles)
        assert claims["email_verified"] is True
        assert claims["amr"] == ["pwd"]


@both_databases
def test_an_account_deactivated_without_events_gets_no_pair(app: Flask, alice: Caller) -> None:
    """Deactivation ends sessions; if a row is left live, the account's own state counts."""
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(is_active=False))
    assert_problem(refresh(alice.client, alice.tokens["refresh_token"]), 401, "session_revoked")


def test_a_refreshed_access_token_is_stale(clock: Clock, alice: Caller) -> None:
    signed_in_at = int(now().timestamp())
    clock.shift(60)
    tokens = refresh(alice.client, alice.tokens["refresh_token"]).get_json()
    claims = claims_of(tokens["access_token"])
    assert claims["fresh"] is False
    assert claims["auth_time"] == signed_in_at
    assert claims["iat"] == claims["nbf"] == signed_in_at + 60
    assert claims["exp"] == signed_in_at + 660


def test_no_access_token_outlives_its_session(clock: Clock, app: Flask, alice: Caller) -> None:
    """The nearer of the two limits counts, rounded to either side of a second."""
    for column in ("expires_at", "idle_expires_at"):
        end = now() + timedelta(seconds=90.9)
        session = login(app.test_client(), "alice").get_json()
        change_session(app, session["session_id"], **{column: end})
        headers = bearer(session["access_token"])
        body = {"password": PASSWORD}
        response = alice.client.post("/api/v1/auth/reauthenticate", json=body, headers=headers)
        claims = claims_of(response.get_json()["access_token"])
        assert claims["exp"] == int(end.timestamp())
        assert response.get_json()["expires_in"] == 90


def test_the_last_refresh_ends_with_the_session(clock: Clock, app: Flask, alice: Caller) -> None:
    change_session(app, alice.session_id, expires_at=now() + timedelta(seconds=90.9))
    tokens = refresh(alice.client, alice.tokens["refresh_token"]).get_json()
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (90, 90)


def test_the_token_may_come_as_bearer(alice: Caller) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {alice.tokens['refresh_token']}"}
        response = alice.client.post(PATH, headers=headers)
        assert response.status_code == 200
        alice.tokens |= response.get_json()
    response = alice.client.post(PATH, headers=bearer(alice.tokens["refresh_token"]), json={})
    assert response.status_code == 200


def test_a_token_in_the_body_and_as_bearer_is_refused(app: Flask, alice: Caller) -> None:
    row = live_session_row(app, alice.session_id)
    token = alice.tokens["refresh_token"]
    for other in (token, alice.tokens["access_token"], "x"):
        response = alice.client.post(PATH, json={"refresh_token": token}, headers=bearer(other))
        assert_problem(response, 400, "malformed_request")
    assert live_session_row(app, alice.session_id) == row


def test_without_a_token_there_is_nothing_to_refresh(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    for kwargs in ({}, {"json": {}}):
        response = client.post(PATH, **kwargs)  # type: ignore[arg-type]
        assert_problem(response, 401, "authentication_required")
        assert "Send the refresh token" in response.json["detail"]
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert_problem(refresh(client, ""), 401, "invalid_token")
    response = client.post(PATH, query_string={"refresh_token": alice.tokens["refresh_token"]})
    assert_problem(response, 422, "validation_failed")


def test_a_token_that_is_no_text_is_refused(alice: Caller) -> None:
    for value in (None, 5, True, ["a"], {"a": "b"}):
        response = alice.client.post(PATH, json={"refresh_token": value})
        problem = assert_problem(response, 422, "validation_failed")
        assert list(problem["errors"]) == ["refresh_token"]


@both_databases
def test_a_retry_within_the_grace_gets_a_pair_that_works(clock: Clock, alice: Caller) -> None:
    token = alice.tokens["refresh_token"]
    pairs = [refresh(alice.client, token).get_json()]
    clock.shift(10)
    pairs.append(refresh(alice.client, token).get_json())
    assert {pair["session_id"] for pair in pairs} == {alice.tokens["session_id"]}
    generations = [claims_of(pair["refresh_token"])["gen"] for pair in pairs]
    assert generations == [1, 1]
    for pair in pairs:
        me = alice.client.get("/api/v1/users/me", headers=bearer(pair["access_token"]))
        assert me.status_code == 200
    # Both holders keep working, as if they were one.
    for pair in pairs:
        assert refresh(alice.client, pair["refresh_token"]).status_code == 200


def test_the_log_distinguishes_a_retry_from_the_first_use(
    alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="authserve.access"):
        for _ in range(2):
            refresh(alice.client, alice.tokens["refresh_token"])
        alice.get("/api/v1/users/me")
    lines = [record for record in caplog.records if record.name == "authserve.access"]
    assert [getattr(line, "outcome", None) for line in lines] == ["rotated", "retried", None]


@both_databases
def test_reuse_signs_all_holders_out(
    clock: Clock, app: Flask, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    stolen = alice.tokens["refresh_token"]
    pair = refresh(alice.client, stolen).get_json()
    clock.shift(timedelta(seconds=10, microseconds=1))

    with caplog.at_level(logging.INFO):
        response = refresh(app.test_client(), stolen)

    assert_problem(response, 401, "token_reused")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert live_session_row(app, alice.session_id)["revoke_reason"] == "reuse_detected"
    (event,) = audit_trail(app, "session.reuse_detected")
    assert event["correlation_id"] == response.headers["X-Correlation-ID"]
    lines = {record.msg: record.__dict__ for record in caplog.records}
    assert lines["refresh token reused"]["reason"] == "replaced_earlier"
    assert lines["request"]["code"] == "token_reused"
    for token in (pair["refresh_token"], stolen):
        assert_problem(refresh(alice.client, token), 401, "session_revoked")
    me = alice.client.get("/api/v1/users/me", headers=bearer(pair["access_token"]))
    assert_problem(me, 401, "session_revoked")


def test_nothing_of_a_refresh_token_is_logged_or_kept(
    app: Flask, alice: Caller, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    token = alice.tokens["refresh_token"]
    with caplog.at_level(logging.DEBUG):
        refresh(alice.client, token)
        refresh(alice.client, token + "x")
    family = claims_of(token)["fam"]
    row = repr(live_session_row(app, alice.session_id))
    for text in (caplog.text, capfd.readouterr().out, row, repr(audit_trail(app))):
        assert token not in text
        assert family not in text


# The order of checks.

Cause = Callable[[Flask, dict[str, Any], dict[str, Any]], None]
"""A change that makes a refresh token, or the row of its session, one that is refused.

It gets the application, the claims to sign, and the columns to write.
"""


def wrong_audience(_app: Flask, claims: dict[str, Any], _row: dict[str, Any]) -> None:
    claims["aud"] = "billing"


def past_its_time(_app: Flask, claims: dict[str, Any], _row: dict[str, Any]) -> None:
    claims |= {"iat": 1000, "nbf": 1000, "exp": 2000}


def of_no_session(_app: Flask, claims: dict[str, Any], _row: dict[str, Any]) -> None:
    claims["sid"] = str(uuid4())


def of_another_family(_app: Flask, claims: dict[str, Any], _row: dict[str, Any]) -> None:
    claims["fam"] = encode(bytes(16))


def of_a_revoked_session(_app: Flask, _claims: dict[str, Any], row: dict[str, Any]) -> None:
    row["revoked_at"] = now()


def past_the_idle_limit(_app: Flask, _claims: dict[str, Any], row: dict[str, Any]) -> None:
    row["idle_expires_at"] = now()


def past_the_absolute_limit(_app: Flask, _claims: dict[str, Any], row: dict[str, Any]) -> None:
    row["expires_at"] = now()


def of_a_generation_ahead(_app: Flask, claims: dict[str, Any], _row: dict[str, Any]) -> None:
    claims["gen"] = 3


def of_a_generation_behind(_app: Flask, claims: dict[str, Any], row: dict[str, Any]) -> None:
    row["generation"] = 2


ORDER: tuple[tuple[Cause, str], ...] = (
    (wrong_audience, "invalid_token"),
    (past_its_time, "token_expired"),
    (of_no_session, "session_revoked"),
    # A forgery under a stolen secret: a claim that only the row can refute.
    (of_another_family, "invalid_token"),
    (of_a_revoked_session, "session_revoked"),
    (past_the_idle_limit, "token_expired"),
    (past_the_absolute_limit, "token_expired"),
    (of_a_generation_ahead, "token_reused"),
    (of_a_generation_behind, "token_reused"),
)
"""The contract's order: of several causes the first one is returned."""


def test_of_several_causes_the_contracts_first_is_returned(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    wrong = {}
    for causes in [*((only,) for only in ORDER), *combinations(ORDER, 2)]:
        told, session = causes[0][1], login(app.test_client(), "alice").get_json()
        claims, row = claims_of(session["refresh_token"]), {}
        for cause, _ in causes:
            cause(app, claims, row)
        if row:
            change_session(app, session["session_id"], **row)
        before = live_session_row(app, session["session_id"])
        token = forge(app, "refresh", session["refresh_token"])(**claims)
        response = refresh(app.test_client(), token)
        after = live_session_row(app, session["session_id"])
        if (response.status_code, response.get_json()["code"]) != (401, told):
            wrong[tuple(cause.__name__ for cause, _ in causes)] = response.get_json()["code"]
        # Only reuse changes anything: it ends the session, and extends nothing.
        ended = {"revoked_at": now(), "revoke_reason": "reuse_detected"}
        assert after == {**before, **(ended if told == "token_reused" else {})}
    assert wrong == {}


def test_a_signature_is_verified_before_anything_it_signs(clock: Clock, alice: Caller) -> None:
    head, _, signature = alice.tokens["refresh_token"].rpartition(".")
    tampered = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    clock.shift(timedelta(days=40))
    assert_problem(refresh(alice.client, tampered), 401, "invalid_token")
    assert_problem(refresh(alice.client, alice.tokens["refresh_token"]), 401, "token_expired")


@pytest.mark.parametrize("days", [14, 15, 31])
def test_an_expired_token_of_an_ended_session_is_expired(
    clock: Clock, app: Flask, alice: Caller, days: int
) -> None:
    """At the limit itself the row decides, later the token's own time, with the same answer."""
    assert alice.post("/api/v1/auth/logout").status_code == 204
    clock.shift(timedelta(days=days))
    code = "session_revoked" if days == 14 else "token_expired"
    assert_problem(refresh(alice.client, alice.tokens["refresh_token"]), 401, code)


def test_the_idle_limit_holds_though_the_tokens_own_time_has_leeway(
    clock: Clock, alice: Caller
) -> None:
    clock.shift(timedelta(days=14) - timedelta(microseconds=1))
    tokens = refresh(alice.client, alice.tokens["refresh_token"]).get_json()
    clock.shift(timedelta(days=14))
    assert_problem(refresh(alice.client, tokens["refresh_token"]), 401, "token_expired")
    me = alice.client.get("/api/v1/users/me", headers=bearer(tokens["access_token"]))
    assert_problem(me, 401, "token_expired")


# When a session counts as used.


def test_only_a_sign_in_and_a_refresh_count_as_use(clock: Clock, app: Flask, alice: Caller) -> None:
    signed_in_at = now()
    for call in (
        lambda: alice.get("/api/v1/users/me"),
        lambda: alice.patch("/api/v1/users/me", json={"display_name": "Alice"}),
        lambda: alice.get("/api/v1/users/me/sessions"),
        lambda: alice.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD}),
        lambda: login(app.test_client(), "alice"),
    ):
        clock.shift(1)
        assert call().status_code == 200
        row = live_session_row(app, alice.session_id)
        assert row["last_used_at"] == signed_in_at
        assert row["idle_expires_at"] == signed_in_at + timedelta(days=14)
    refresh(alice.client, alice.tokens["refresh_token"])
    assert live_session_row(app, alice.session_id)["last_used_at"] == now()
