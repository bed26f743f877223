"""The login throttle as callers see it."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from authserve.core.actor import RequestInfo
from authserve.database.transactions import transaction
from authserve.passwords.hasher import PASSWORD_HASHER, PasswordHasher, Verification
from authserve.ratelimit.throttle import record_failure
from authserve.ratelimit.throttle_keys import identifier_key
from tests.conftest import CHEAP
from tests.support.clients import PASSWORD, Caller
from tests.support.crowd import DEADLINE_SECS, all_at_once, persistently
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases, on_sqlite
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions, counters

pytestmark = both_databases

Clock = time_machine.Traveller

REAUTHENTICATE = "/api/v1/auth/reauthenticate"
ELSEWHERE = "198.51.100.7"
HOME = "203.0.113.5"
NEW_PASSWORD = "another horse, another staple"


def attempt(
    app: Flask, identifier: str, password: str = "wrong", ip: str = "127.0.0.1", **fields: Any
) -> TestResponse:
    body = {"identifier": identifier, "password": password, **fields}
    response: TestResponse = app.test_client().post(
        "/api/v1/auth/login", json=body, environ_overrides={"REMOTE_ADDR": ip}
    )
    return response


def statuses(app: Flask, count: int, *args: Any, **kwargs: Any) -> list[int]:
    return [attempt(app, *args, **kwargs).status_code for _ in range(count)]


def run_sql(app: Flask, statement: str) -> None:
    with app.app_context(), transaction() as session:
        session.execute(text(statement))


@on_sqlite
def test_the_right_password_waits_like_a_wrong_one(clock: Clock, app: Flask, alice: Caller) -> None:
    assert statuses(app, 5, "alice") == [401] * 5
    for password in (PASSWORD, "wrong"):
        response = attempt(app, "alice", password)
        problem = assert_problem(response, 429, "too_many_attempts")
        assert response.headers["Retry-After"] == "30"
        assert problem["detail"] == "Too many attempts. Wait a while, then try again."
    clock.shift(29.5)
    assert attempt(app, "alice", PASSWORD).headers["Retry-After"] == "1"
    clock.shift(0.5)
    assert attempt(app, "alice", PASSWORD).status_code == 200
    # Time alone clears the counter: the next wrong one begins a longer block.
    assert statuses(app, 2, "alice") == [401, 429]


@on_sqlite
def test_live_sessions_are_not_touched(app: Flask, alice: Caller) -> None:
    statuses(app, 6, "alice")
    assert alice.get("/api/v1/users/me").status_code == 200
    body = {"refresh_token": alice.tokens["refresh_token"]}
    assert app.test_client().post("/api/v1/auth/refresh", json=body).status_code == 200


@on_sqlite
def test_unknown_identifiers_are_counted_and_answered_alike(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    answers = {}
    for number, name in enumerate(
        ("alice", "unknown", "unknown@example.com", "no name!", "a" * 320)
    ):
        responses = [attempt(app, name, ip=f"192.0.2.{number}") for _ in range(7)]
        answers[name] = [
            (
                response.status_code,
                {**response.get_json(), "correlation_id": ""},
                response.headers.get("Retry-After"),
                response.headers.get("WWW-Authenticate"),
            )
            for response in responses
        ]
    assert all(answer == answers["alice"] for answer in answers.values())
    assert [status for status, *_ in answers["alice"]] == [401] * 5 + [429] * 2
    rows = [(row["hits"], row["expires_at"]) for row in counters(app)]
    # For each name a counter of its own and its address's, and all alike.
    assert sorted(Counter(rows).values()) == [5, 5]


@on_sqlite
def test_the_forms_of_one_name_share_a_counter(app: Flask, alice: Caller) -> None:
    forms = ("alice", "ALICE", " Alice", "aLiCe ", "alice")
    assert [attempt(app, form).status_code for form in forms] == [401] * 5
    assert attempt(app, "Alice").status_code == 429


@on_sqlite
def test_an_address_and_a_username_do_not_reveal_that_they_belong_together(
    app: Flask, alice: Caller
) -> None:
    statuses(app, 6, "alice")
    assert attempt(app, "alice@example.com", ip=ELSEWHERE).status_code == 401
    assert attempt(app, "Alice@EXAMPLE.com", PASSWORD, ip=ELSEWHERE).status_code == 200


@on_sqlite
def test_a_sign_in_leaves_no_trace_in_counters_that_strangers_share(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    """Otherwise a stranger's fifth failure would reveal a sign-in of the owner."""
    told = {}
    for name, owner_signs_in in (("alice", True), ("alice@example.com", False), ("unknown", False)):
        statuses(app, 4, name, ip=ELSEWHERE)
        clock.shift(60)
        if owner_signs_in:
            assert attempt(app, "alice", PASSWORD).status_code == 200
        told[name] = statuses(app, 2, name, ip=ELSEWHERE)
        clock.shift(3_600)
    assert set(map(tuple, told.values())) == {(401, 429)}


@on_sqlite
def test_an_address_is_blocked_after_guesses_at_any_accounts(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    names = [f"unknown{number}" for number in range(10)]
    assert [attempt(app, name).status_code for name in names] == [401] * 10
    response = attempt(app, "alice", PASSWORD)
    assert_problem(response, 429, "too_many_attempts")
    assert response.headers["Retry-After"] == "30"
    assert attempt(app, "alice", PASSWORD, ip=ELSEWHERE).status_code == 200
    clock.shift(30)
    assert attempt(app, "alice", PASSWORD).status_code == 200


@on_sqlite
def test_the_addresses_of_one_ipv6_network_are_one(app: Flask, alice: Caller) -> None:
    for number in range(10):
        ip = f"2001:db8:0:7::{number:x}"
        assert attempt(app, f"unknown{number}", ip=ip).status_code == 401
    assert attempt(app, "alice", PASSWORD, ip="2001:db8:0:7:ffff::1").status_code == 429
    assert attempt(app, "alice", PASSWORD, ip="2001:db8:0:8::1").status_code == 200


@on_sqlite
def test_a_right_password_that_is_refused_counts_nothing(app: Flask, alice: Caller) -> None:
    run_sql(app, "UPDATE users SET is_active = false")
    assert statuses(app, 6, "alice", PASSWORD) == [403] * 6
    assert counters(app) == []


def test_each_block_is_one_event(clock: Clock, app: Flask, alice: Caller) -> None:
    statuses(app, 8, "alice")
    clock.shift(30)
    statuses(app, 3, "alice")
    events = audit_trail(app, "session.sign_in_throttled")
    assert [event["details"] for event in events] == [{"counted_by": "identifier"}] * 2
    assert {event["outcome"] for event in events} == {"failure"}
    (started,) = audit_trail(app, "session.started")
    assert {event["subject_audit_id"] for event in events} == {started["subject_audit_id"]}
    # What is refused is no failed sign-in; it is in the log alone.
    assert len(audit_trail(app, "session.sign_in_failed")) == 6


# Behind a token.


@on_sqlite
def test_strangers_do_not_keep_the_owner_from_confirming_their_password(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    for name in ("alice", "alice@example.com"):
        statuses(app, 6, name, ip=ELSEWHERE)
    wrong = alice.post(REAUTHENTICATE, json={"password": "wrong"})
    assert_problem(wrong, 403, "wrong_password")
    assert alice.post(REAUTHENTICATE, json={"password": PASSWORD}).status_code == 200


@on_sqlite
def test_a_wrong_password_behind_a_token_counts_at_the_sign_in(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    """Otherwise a stolen access token would give five guesses more."""
    for _ in range(4):
        wrong = alice.post(REAUTHENTICATE, json={"password": "wrong"})
        assert_problem(wrong, 403, "wrong_password")
    assert statuses(app, 2, "alice@example.com", ip=ELSEWHERE) == [401, 429]
    # The address's own ten count both.
    assert statuses(app, 5, "unknown") == [401] * 5
    assert statuses(app, 2, "stranger") == [401, 429]


@on_sqlite
def test_a_right_password_behind_a_token_clears_the_accounts_counter_alone(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    for _ in range(4):
        alice.post(REAUTHENTICATE, json={"password": "wrong"})
    assert alice.post(REAUTHENTICATE, json={"password": PASSWORD}).status_code == 200
    for _ in range(4):
        wrong = alice.post(REAUTHENTICATE, json={"password": "wrong"})
        assert_problem(wrong, 403, "wrong_password")
    assert attempt(app, "alice@example.com", PASSWORD, ip=ELSEWHERE).status_code == 429


def test_five_guesses_behind_a_token_block_and_are_audited(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    codes = [alice.post(REAUTHENTICATE, json={"password": "wrong"}).status_code for _ in range(6)]
    assert codes == [403] * 5 + [429]
    refused = alice.post(REAUTHENTICATE, json={"password": PASSWORD})
    assert_problem(refused, 429, "too_many_attempts")
    events = audit_trail(app, "session.sign_in_throttled")
    assert [event["details"]["counted_by"] for event in events] == ["account", "identifier"]
    assert events[0]["actor_audit_id"] == events[0]["subject_audit_id"] is not None
    assert len(audit_trail(app, "session.reauthentication_failed")) == 5
    assert alice.get("/api/v1/users/me").status_code == 200


# Known devices.


@on_sqlite
def test_a_known_device_is_counted_by_itself(clock: Clock, app: Flask, alice: Caller) -> None:
    device = alice.tokens["device_token"]
    assert statuses(app, 6, "alice", ip=ELSEWHERE) == [401] * 5 + [429]
    assert attempt(app, "alice", PASSWORD, device_token=device).status_code == 200
    assert statuses(app, 6, "alice", device_token=device) == [401] * 5 + [429]
    assert attempt(app, "alice", PASSWORD, device_token=device).status_code == 429
    clock.shift(30)
    assert attempt(app, "alice", PASSWORD).status_code == 200
    assert attempt(app, "alice", PASSWORD, device_token=device).status_code == 200


@on_sqlite
def test_the_device_of_another_is_no_device(app: Flask, alice: Caller, charlie: Caller) -> None:
    device = charlie.tokens["device_token"]
    assert statuses(app, 6, "alice", device_token=device) == [401] * 5 + [429]
    assert attempt(app, "alice", PASSWORD, device_token=device).status_code == 429


def reset_password(app: Flask, alice: Caller, ip: str) -> str:
    """Set a new password by a mailed link, and keep nothing of the answer; returns it."""
    mailbox = open_mailbox(app)
    client = app.test_client()
    client.post("/api/v1/auth/password/forgot", json={"email": alice.user["email"]})
    work(app)
    body = {"token": mailbox.to(alice.user["email"])[-1].token, "new_password": NEW_PASSWORD}
    response = client.post(
        "/api/v1/auth/password/reset", json=body, environ_overrides={"REMOTE_ADDR": ip}
    )
    assert response.status_code == 200, response.get_json()
    return NEW_PASSWORD


def test_a_user_who_has_just_recovered_signs_in_despite_the_throttle(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    """At the first try, by any of their names, and without the device token of the reset."""
    names = ("alice", "alice@example.com")
    for name in names:
        statuses(app, 6, name, ip=ELSEWHERE)
    password = reset_password(app, alice, HOME)
    for name in names:
        assert attempt(app, name, password, ip=ELSEWHERE).status_code == 429
        assert attempt(app, name, password, ip=HOME).status_code == 200


def test_a_network_is_known_for_an_hour(clock: Clock, app: Flask, alice: Caller) -> None:
    password = reset_password(app, alice, HOME)
    for seconds, status in ((3_599, 200), (1, 429)):
        clock.shift(seconds)
        statuses(app, 6, "alice", ip=ELSEWHERE)
        assert attempt(app, "alice", password, ip=HOME).status_code == status


@on_sqlite
def test_a_known_network_has_a_counter_of_its_own(clock: Clock, app: Flask, alice: Caller) -> None:
    password = reset_password(app, alice, HOME)
    assert statuses(app, 6, "alice", ip=HOME) == [401] * 5 + [429]
    assert attempt(app, "alice", password, ip=HOME).status_code == 429
    # Those of strangers, by name and by address, have counted none of these.
    assert statuses(app, 5, "alice", ip=ELSEWHERE) == [401] * 5
    assert statuses(app, 10, "unknown", ip=HOME) == [401] * 5 + [429] * 5
    clock.shift(30)
    assert attempt(app, "alice", password, ip=HOME).status_code == 200
    # A sign-in does not clear it: others in that network would see it.
    assert statuses(app, 2, "alice", ip=HOME) == [401, 429]


@on_sqlite
def test_a_network_is_known_to_one_account_and_its_present_password(
    clock: Clock, app: Flask, alice: Caller, bob: Caller
) -> None:
    password = reset_password(app, alice, "2001:db8::1")
    neighbour, elsewhere = "2001:db8::2", "2001:db8:0:1::1"
    for name in ("alice", "bob"):
        statuses(app, 6, name, ip=ELSEWHERE)
    assert attempt(app, "bob", PASSWORD, ip=neighbour).status_code == 429
    assert attempt(app, "alice", password, ip=elsewhere).status_code == 429
    signed_in = attempt(app, "alice", password, ip=neighbour)
    assert signed_in.status_code == 200
    headers = {"Authorization": f"Bearer {signed_in.get_json()['access_token']}"}
    change = {"current_password": password, "new_password": PASSWORD}
    client = app.test_client()
    assert client.put("/api/v1/users/me/password", json=change, headers=headers).status_code == 204
    assert attempt(app, "alice", PASSWORD, ip=neighbour).status_code == 429


# Crowds.


def crowd(app: Flask, passwords: list[str], ip: str = "127.0.0.1") -> list[int]:
    """Return the statuses of concurrent sign-ins; a busy hasher has checked nothing.

    The clock must be frozen, or a block could be over before the last of them is answered.
    """
    calls = [
        lambda p=password: persistently(lambda: attempt(app, "alice", p, ip))  # type: ignore[misc]
        for password in passwords
    ]
    return [answer.status_code for answer in all_at_once(calls)]


def test_a_hundred_guesses_at_once_get_five_answers(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    answers = crowd(app, [f"guess {number}" for number in range(100)])
    assert Counter(answers) == {401: 5, 429: 95}
    assert len(audit_trail(app, "session.sign_in_failed")) == 5
    assert len(audit_trail(app, "session.sign_in_throttled")) == 1


def test_the_right_one_among_a_hundred_guesses_reveals_nothing_more(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    """It succeeds only among the first; the others get the same five answers."""
    passwords = [f"guess {number}" for number in range(99)]
    passwords.insert(50, PASSWORD)
    answers = crowd(app, passwords)
    told = Counter(answers)
    assert set(told) <= {200, 401, 429}
    assert answers[50] in (200, 429)
    assert told[401] == 5


# Faults.


@pytest.mark.fault
def test_without_its_counters_every_try_is_refused(app: Flask, alice: Caller) -> None:
    run_sql(app, "DROP TABLE rate_counters")
    new = {"current_password": PASSWORD, "new_password": "another horse, another staple"}
    for response in (
        attempt(app, "alice", PASSWORD),
        attempt(app, "alice", "wrong"),
        attempt(app, "unknown", "wrong"),
        alice.post(REAUTHENTICATE, json={"password": PASSWORD}),
        alice.put("/api/v1/users/me/password", json=new),
    ):
        problem = assert_problem(response, 503, "service_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
        assert "rate_counters" not in json.dumps(problem)
    assert count_sessions(app) == 1
    assert alice.get("/api/v1/users/me").status_code == 200


@pytest.mark.fault
def test_a_failure_is_counted_though_its_request_fails(app: Flask, alice: Caller) -> None:
    run_sql(app, "DROP TABLE audit_details")
    assert attempt(app, "alice").status_code >= 500
    assert sorted(row["hits"] for row in counters(app)) == [1, 1]


# A block that begins between the check and the answer.


class GatedHasher(PasswordHasher):
    """Verifies as ever, but only when the test lets it."""

    def __init__(self) -> None:
        super().__init__(cost=CHEAP, niceness=0, queue_size=8)
        self.is_reached = Event()
        self.is_open = Event()

    def verify(self, *args: Any, **kwargs: Any) -> Verification:
        self.is_reached.set()
        assert self.is_open.wait(DEADLINE_SECS)
        return super().verify(*args, **kwargs)


@pytest.mark.parametrize("is_active", [True, False], ids=["active", "disabled"])
def test_a_block_that_begins_while_the_password_is_checked_holds_for_it(
    app: Flask, alice: Caller, is_active: bool
) -> None:
    """Otherwise, of a hundred passwords tried at once, the answers would reveal the right one."""
    before = alice.get("/api/v1/users/me").get_json()
    if not is_active:
        run_sql(app, "UPDATE users SET is_active = false")
    hasher = GatedHasher()
    PASSWORD_HASHER.fill(app, hasher)
    with ThreadPoolExecutor(1) as threads, app.app_context():
        answer = threads.submit(attempt, app, "alice", PASSWORD)
        assert hasher.is_reached.wait(DEADLINE_SECS)
        for _ in range(5):
            record_failure([identifier_key("alice")], subject=None, request=RequestInfo())
        hasher.is_open.set()
        assert_problem(answer.result(), 429, "too_many_attempts")
    assert count_sessions(app) == 1
    run_sql(app, "UPDATE users SET is_active = true")
    assert alice.get("/api/v1/users/me").get_json() == before
