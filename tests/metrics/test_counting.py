"""The meaning of each counter."""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.http.request_info import request_state
from authserve.metrics.families import (
    FACTOR_OF_FAILURE,
    REFRESHES,
    REQUEST_BUCKETS,
    SECOND_FACTORS,
    SIGN_INS,
)
from authserve.mfa.assurance import ProofFailure
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.ratelimit.policy import SIGN_IN
from authserve.settings.model import EmailVerification
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user_by_reference
from tests.support.authenticator import Faults
from tests.support.browsing import Visit
from tests.support.clients import PASSWORD, Caller, login, register, register_caller
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.metrics import METRICS_TOKEN, Scrape, scrape
from tests.support.passkeys import give_passkey, passkey_login
from tests.support.probes import PROBE, add_probe
from tests.support.second_steps import first_step, second_step, wrong_code
from tests.support.totp import code_at

Read = Callable[[], Scrape]

ME = "/api/v1/users/me"
REFRESH = "/api/v1/auth/refresh"
REQUESTS = "authserve_http_requests_total"
DURATION = "authserve_http_request_duration_seconds"
REFUSALS = "authserve_http_refusals_total"
EVENTS = "authserve_events_total"
SIGN_INS_TOTAL = "authserve_sign_ins_total"
REFRESHES_TOTAL = "authserve_refreshes_total"


def outcomes(read: Read, name: str) -> dict[str, float]:
    """Return the count of each outcome, without zeros."""
    series = read().series(name)
    return {dict(labels)["outcome"]: value for labels, value in series.items() if value}


# Requests


def test_requests_are_counted_by_method_route_and_status(alice: Caller, read: Read) -> None:
    for _ in range(3):
        alice.get(ME)
    alice.patch(ME, json={"display_name": "A"})
    alice.client.get(ME)
    found = read()
    assert found.value(REQUESTS, method="GET", route=ME, status="200") == 3
    assert found.value(REQUESTS, method="PATCH", route=ME, status="200") == 1
    assert found.value(REQUESTS, method="GET", route=ME, status="401") == 1
    assert found.value(f"{DURATION}_count", method="GET", route=ME) == 4


def test_a_route_is_a_template_and_no_path(admin: Caller, read: Read) -> None:
    for other in (admin.user["id"], "01a20d18-9ea1-7431-b1a2-095b46dae4fd"):
        admin.get(f"/api/v1/users/{other}")
    routes = {dict(labels)["route"] for labels in read().series(REQUESTS)}
    assert "/api/v1/users/<uuid:user_id>" in routes
    assert not any(admin.user["id"] in route for route in routes)


def test_a_strangers_paths_and_methods_make_no_series(client: FlaskClient, read: Read) -> None:
    chance = random.Random(7)
    for number in range(200):
        word = f"{chance.randrange(10**9)}"
        path = (f"/{word}", f"/api/v1/{word}", f"//{word}", f"{ME}/{word}", "/healthz")[number % 5]
        client.open(path, method=f"M{word}" if number % 2 else "GET")
    series = read().series(REQUESTS)
    assert {dict(labels)["route"] for labels in series} == {"unmatched", "/healthz"}
    assert {dict(labels)["method"] for labels in series} == {"GET", "other"}
    assert sum(series.values()) == 200


def test_the_time_that_a_request_took_falls_into_its_bucket(app: Flask, read: Read) -> None:
    def view() -> dict[str, Any]:
        # As if it had begun so long ago.
        request_state().started_at -= durations.pop()
        return {}

    add_probe(app, view)
    durations = [60.0, 0.1]
    client = app.test_client()
    for _ in range(2):
        assert client.get(PROBE).status_code == 200
    found = read()

    def bucket(bound: str) -> float:
        return found.value(f"{DURATION}_bucket", method="GET", route=PROBE, le=bound)

    assert [bucket(bound) for bound in ("0.05", "0.15", "10.0", "+Inf")] in (
        [0, 1, 1, 2],
        # On a machine that was suspended meanwhile.
        [0, 0, 1, 2],
    )
    assert found.value(f"{DURATION}_sum", method="GET", route=PROBE) >= 60.1
    bounds = {dict(labels)["le"] for labels in found.series(f"{DURATION}_bucket")}
    assert bounds == {*map(str, REQUEST_BUCKETS), "+Inf"}


def test_a_fault_of_ours_is_counted_as_one(app: Flask, read: Read) -> None:
    def view() -> None:
        raise RuntimeError("boom")

    add_probe(app, view)
    app.test_client().get(PROBE)
    found = read()
    assert found.value(REQUESTS, method="GET", route=PROBE, status="500") == 1
    assert found.value(REFUSALS, code="internal_error") == 1


def test_refusals_are_counted_by_their_code(client: FlaskClient, read: Read) -> None:
    client.get("/nowhere")
    client.post("/healthz")
    client.get(ME)
    client.get("/healthz")
    series = read().series(REFUSALS)
    assert {dict(labels)["code"]: value for labels, value in series.items()} == {
        "not_found": 1,
        "method_not_allowed": 1,
        "authentication_required": 1,
    }


# Signing in


def test_every_outcome_of_signing_in_is_there_from_the_start(read: Read) -> None:
    found = read()
    for name, expected in ((SIGN_INS_TOTAL, SIGN_INS), (REFRESHES_TOTAL, REFRESHES)):
        assert {dict(labels)["outcome"] for labels in found.series(name)} == set(expected)
    assert {dict(labels)["action"] for labels in found.series(EVENTS)} == set(AuditAction)


def test_sign_ins_are_counted_by_outcome(client: FlaskClient, read: Read) -> None:
    register(client, "alice")
    login(client, "alice")
    login(client, "alice", "wrong horse battery staple")
    for _ in range(2):
        login(client, "unknown")
    assert outcomes(read, SIGN_INS_TOTAL) == {
        "success": 1,
        "wrong_password": 1,
        "unknown_identifier": 2,
    }


def test_a_throttled_sign_in_is_counted_as_nothing_else(client: FlaskClient, read: Read) -> None:
    register(client, "alice")
    statuses = [login(client, "alice", "wrong horse").status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert outcomes(read, SIGN_INS_TOTAL) == {"wrong_password": 5, "throttled": 2}
    found = read()
    assert found.value(REFUSALS, code="too_many_attempts") == 2
    assert found.value(EVENTS, action="session.sign_in_throttled") == 1


def factors(read: Read) -> dict[tuple[str, str], float]:
    """Return the count of each method and outcome of a second factor, without zeros."""
    series = read().series("authserve_second_factors_total")
    pairs = {(dict(labels)["method"], dict(labels)["outcome"]): n for labels, n in series.items()}
    return {pair: count for pair, count in pairs.items() if count}


def test_every_second_factor_is_there_from_the_start(read: Read) -> None:
    series = read().series("authserve_second_factors_total")
    found = {(dict(labels)["method"], dict(labels)["outcome"]) for labels in series}
    assert found == set(SECOND_FACTORS)
    assert set(FACTOR_OF_FAILURE) == set(ProofFailure)


def test_second_factors_are_counted_by_method_and_outcome(
    clock: time_machine.Traveller, app: Flask, client: FlaskClient, read: Read
) -> None:
    alice = register_caller(app, "alice")
    secret, codes = give_totp(app, alice.id), give_recovery_codes(app, alice.id)
    key = give_passkey(app, alice.id)
    token = first_step(client, "alice")
    second_step(client, token, totp_code=wrong_code(secret))
    second_step(client, token, totp_code=code_at(secret, now()))
    second_step(client, token, totp_code=code_at(secret, now()))
    second_step(client, first_step(client, "alice"), totp_code=code_at(secret, now()))
    second_step(client, first_step(client, "alice"), recovery_code=codes[0])
    second_step(client, first_step(client, "alice"), recovery_code=codes[0])
    passkey_login(client, key)
    passkey_login(client, key, Faults(signature=lambda _: b""))
    assert factors(read) == {
        ("totp", "wrong_code"): 1,
        ("totp", "success"): 1,
        ("none", "pending_sign_in_dead"): 1,
        ("totp", "code_reused"): 1,
        ("recovery_code", "success"): 1,
        ("recovery_code", "wrong_recovery_code"): 1,
        ("passkey", "success"): 1,
        ("passkey", "passkey_refused"): 1,
    }
    assert outcomes(read, SIGN_INS_TOTAL)["mfa_required"] == 4


def test_sign_ins_by_pages_are_counted_as_those_by_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(metrics_token=METRICS_TOKEN, features=("pages",))
    give_totp(app, register_caller(app, "alice").id)
    visit = Visit(app)
    visit.sign_in()
    for _ in range(6):
        visit.sign_in("bob", "wrong password 12")
    found = outcomes(lambda: scrape(app.test_client()), SIGN_INS_TOTAL)
    assert found == {"success": 1, "mfa_required": 1, "unknown_identifier": 5, "throttled": 1}


def test_a_right_password_of_an_account_that_may_not_is_counted(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(metrics_token=METRICS_TOKEN, email_verification=EmailVerification.REQUIRED)
    client = app.test_client()
    client.post("/api/v1/auth/register", json={"email": "a@example.com", "password": PASSWORD})
    assert login(client, "a@example.com").status_code == 403
    assert outcomes(lambda: scrape(client), SIGN_INS_TOTAL) == {"email_not_verified": 1}


def test_a_sign_in_that_meets_a_full_queue_is_counted_as_busy(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(metrics_token=METRICS_TOKEN)
    client = app.test_client()
    with app.app_context():
        queue = PASSWORD_HASHER.get()._queue
    monkeypatch.setattr(queue, "waiting", 1_000)
    assert login(client, "alice").status_code == 503
    found = scrape(client)
    assert found.value(SIGN_INS_TOTAL, outcome="busy") == 1
    assert found.value(REFUSALS, code="busy") == 1
    assert found.value("authserve_password_hash_queue") == 1_000


def test_what_the_limits_refuse_is_counted(
    clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    client = make_app(metrics_token=METRICS_TOKEN, ratelimit_enabled=True).test_client()
    attempts = range(SIGN_IN.amount + 2)
    statuses = [login(client, f"unknown{number}").status_code for number in attempts]
    assert set(statuses) == {401, 429}
    found = scrape(client)
    for code, outcome in (("rate_limited", "limited"), ("too_many_attempts", "throttled")):
        refused = found.value(REFUSALS, code=code)
        assert refused == found.value(SIGN_INS_TOTAL, outcome=outcome)
    assert found.value(REFUSALS, code="rate_limited") == 2


# Refreshing


def refresh(client: FlaskClient, token: str) -> Any:
    return client.post(REFRESH, json={"refresh_token": token})


def test_refreshes_are_counted_by_outcome(
    app: Flask, client: FlaskClient, clock: time_machine.Traveller, read: Read
) -> None:
    alice, bob = (register_caller(app, name) for name in ("alice", "bob"))
    first = alice.tokens["refresh_token"]
    second = refresh(client, first).get_json()["refresh_token"]
    refresh(client, first)
    assert outcomes(read, REFRESHES_TOTAL) == {"rotated": 1, "retried": 1}
    clock.shift(timedelta(minutes=1))
    refresh(client, first)
    refresh(client, second)
    refresh(client, "no.token.atall")
    client.post(REFRESH)
    clock.shift(timedelta(days=20))
    refresh(client, bob.tokens["refresh_token"])
    assert outcomes(read, REFRESHES_TOTAL) == {
        "rotated": 1,
        "retried": 1,
        "reuse_detected": 1,
        "revoked": 1,
        "invalid": 1,
        "refused": 1,
        "expired": 1,
    }
    assert read().value(EVENTS, action="session.reuse_detected") == 1


# Events


def test_registrations_are_counted_when_they_are_committed(
    app: Flask, client: FlaskClient, read: Read
) -> None:
    register(client, "alice")
    assert register(client, "alice").status_code == 409
    assert read().value(EVENTS, action="user.registered") == 1


def test_what_is_rolled_back_is_not_counted(app: Flask, alice: Caller, read: Read) -> None:
    def emit_and_fail() -> None:
        with transaction():
            user = ref_of(get_user_by_reference("alice"))
            emit(AuditAction.USER_REGISTERED, actor=VISITOR, request=RequestInfo(), subject=user)
            raise RuntimeError("boom")

    before = read().value(EVENTS, action="user.registered")
    with app.app_context(), pytest.raises(RuntimeError):
        emit_and_fail()
    assert read().value(EVENTS, action="user.registered") == before
    with app.app_context(), transaction():
        emit(
            AuditAction.USER_REGISTERED,
            actor=VISITOR,
            request=RequestInfo(),
            subject=ref_of(get_user_by_reference("alice")),
        )
    assert read().value(EVENTS, action="user.registered") == before + 1


# Hashing


def test_the_time_of_every_password_is_taken(client: FlaskClient, read: Read) -> None:
    register(client, "alice")
    login(client, "alice")
    login(client, "unknown")
    found = read()
    assert found.value("authserve_password_hash_duration_seconds_count") == 3
    assert 0 < found.value("authserve_password_hash_duration_seconds_sum") < time.perf_counter()


# The state of the process


def test_it_exports_its_pool_and_queue(app: Flask, read: Read) -> None:
    found = read()
    assert found.value("authserve_workers") == 1
    assert found.value("authserve_database_connections_limit") == 8
    assert found.value("authserve_password_hash_queue_limit") == 32
    with app.app_context(), transaction() as session:
        session.connection()
        assert read().value("authserve_database_connections_in_use") == 1
    assert read().value("authserve_database_connections_in_use") == 0
