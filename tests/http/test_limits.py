"""Limits: whose counter a caller uses, which calls are refused, and the headers of answers."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from authserve.database.transactions import db, transaction
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.ratelimit import policy
from authserve.ratelimit.policy import CountedBy, Limit
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases, on_postgresql
from tests.support.problems import assert_problem
from tests.support.redis import RedisServer

Clock = time_machine.Traveller

LOGIN = "/api/v1/auth/login"
FORGOT = "/api/v1/auth/password/forgot"
RESEND = "/api/v1/auth/email/verify/resend"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with limits, which other tests switch off."""
    return make_app(ratelimit_enabled=True, features=("api-keys",))


@dataclass(frozen=True)
class LimitedCall:
    """A call that a limit counts, and its status below the limit."""

    limit: Limit
    path: str
    body: dict[str, Any]
    status: int
    by: str = "visitor"
    method: str = "POST"


WRONG = "not the password of any user"
TAKEN = {"email": "alice@example.com", "password": PASSWORD}
ADDRESS = {"email": "alice@example.com"}
NO_TOKEN = {"token": "no token of ours"}

CALLS = (
    LimitedCall(policy.SIGN_UP, "auth/register", TAKEN, 409),
    LimitedCall(policy.SIGN_UP_OF_EMAIL, "auth/register", TAKEN, 409),
    LimitedCall(policy.SIGN_IN, "auth/login", {"identifier": "alice", "password": WRONG}, 401),
    LimitedCall(policy.PASSWORDS, "auth/login", {"identifier": "alice", "password": WRONG}, 401),
    LimitedCall(policy.PASSWORDS, "auth/reauthenticate", {"password": WRONG}, 403, "alice"),
    LimitedCall(
        policy.PASSWORDS,
        "users/me/password",
        {"current_password": WRONG, "new_password": f"{PASSWORD} anew"},
        403,
        "alice",
        "PUT",
    ),
    LimitedCall(
        policy.SECOND_STEP, "auth/mfa/verify", {"mfa_token": "x", "totp_code": "000000"}, 401
    ),
    LimitedCall(policy.FORGOT, "auth/password/forgot", ADDRESS, 202),
    LimitedCall(policy.FORGOT_OF_EMAIL, "auth/password/forgot", ADDRESS, 202),
    LimitedCall(policy.RESEND, "auth/email/verify/resend", ADDRESS, 202),
    LimitedCall(policy.RESEND_OF_EMAIL, "auth/email/verify/resend", ADDRESS, 202),
    LimitedCall(policy.PASSKEY_OPTIONS, "auth/passkey/options", {}, 200),
    LimitedCall(policy.SET_UP_FACTOR, "users/me/mfa/totp", {}, 201, "alice"),
    LimitedCall(policy.EMAIL_CODE, "auth/email-code", ADDRESS, 202),
    LimitedCall(policy.REDEEM, "auth/email/verify", {**NO_TOKEN, "password": WRONG}, 400),
    LimitedCall(policy.REDEEM, "auth/password/reset", {**NO_TOKEN, "new_password": PASSWORD}, 400),
    LimitedCall(policy.REDEEM, "auth/invitation/accept", {**NO_TOKEN, "password": PASSWORD}, 400),
    LimitedCall(policy.REDEEM, "users/me/email/confirm", {**NO_TOKEN, "password": WRONG}, 400),
    LimitedCall(policy.REAUTHENTICATE, "auth/reauthenticate", {"password": WRONG}, 403, "alice"),
    LimitedCall(
        policy.CHANGE_PASSWORD,
        "users/me/password",
        {"current_password": WRONG, "new_password": f"{PASSWORD} anew"},
        403,
        "alice",
        "PUT",
    ),
    LimitedCall(policy.CHANGE_EMAIL, "users/me/email", {"new_email": "a@b.example"}, 202, "alice"),
    LimitedCall(
        policy.CHANGE_EMAIL_OF_EMAIL, "users/me/email", {"new_email": "a@b.example"}, 202, "alice"
    ),
    LimitedCall(policy.CHANGE_PROFILE, "users/me", {"username": "alice"}, 200, "alice", "PATCH"),
    LimitedCall(policy.EXPORT, "users/me/export", {}, 200, "alice", "GET"),
    LimitedCall(
        policy.MAKE_API_KEY,
        "users/me/api-keys",
        {"name": "Report", "scopes": ["account"]},
        403,  # Her address is not verified.
        "alice",
    ),
    LimitedCall(policy.ADMIN_MAIL, "users", ADDRESS, 409, "admin"),
    LimitedCall(policy.ADMIN_MAIL, "users/{alice}/invitation", {}, 409, "admin"),
    LimitedCall(policy.ADMIN_MAIL, "users/{alice}/password-reset", {}, 202, "admin"),
)

each_call = pytest.mark.parametrize("call", CALLS, ids=lambda c: f"{c.limit.name}-{c.path}")


@dataclass(frozen=True)
class Cast:
    """The callers of these tests."""

    app: Flask
    alice: Caller
    admin: Caller

    def send(self, call: LimitedCall) -> TestResponse:
        """Make a call."""
        path = f"/api/v1/{call.path}".replace("{alice}", str(self.alice.id))
        body = {} if call.method in ("GET", "DELETE") else {"json": call.body}
        if call.by == "visitor":
            response: TestResponse = self.app.test_client().open(path, method=call.method, **body)
            return response
        caller = self.alice if call.by == "alice" else self.admin
        return caller.call(call.method, path, **body)


@pytest.fixture
def cast(clock: Clock, app: Flask) -> Cast:
    """Alice and an administrator, signed in long enough ago to have used up nothing."""
    cast = Cast(app, register_caller(app, "alice"), register_caller(app, "admin", roles=["admin"]))
    run_sql(app, "DELETE FROM rate_counters")
    return cast


def run_sql(app: Flask, statement: str, **values: object) -> None:
    with app.app_context(), transaction() as session:
        session.execute(text(statement), values)


def use_up(app: Flask, limit: Limit, *, leaving: int) -> None:
    """Use up a limit's open windows, except for `leaving` calls."""
    statement = "UPDATE rate_counters SET hits = :hits WHERE key LIKE :pattern"
    run_sql(app, statement, hits=limit.amount - leaving, pattern=f"%/{limit.name}/%")


def rate_limit(response: TestResponse) -> tuple[int, ...]:
    """Return amount, remaining and seconds of an answer's limit; empty without one."""
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    return tuple(int(response.headers[name]) for name in names if name in response.headers)


@each_call
def test_a_limit_lets_its_number_through_and_no_more(cast: Cast, call: LimitedCall) -> None:
    limit, secs = call.limit, int(call.limit.window.total_seconds())
    assert cast.send(call).status_code == call.status
    # A second limit of the call may be tighter.
    run_sql(cast.app, "DELETE FROM rate_counters WHERE key NOT LIKE :own", own=f"%/{limit.name}/%")
    use_up(cast.app, limit, leaving=1)
    last = cast.send(call)
    refused = cast.send(call)
    assert last.status_code == call.status
    assert_problem(refused, 429, "rate_limited")
    if limit.by is CountedBy.EMAIL:
        for answer in (last, refused):
            assert limit.amount not in rate_limit(answer)[:1]
    else:
        assert rate_limit(last) == rate_limit(refused) == (limit.amount, 0, secs)
    assert refused.headers["Retry-After"] == str(secs)


def test_every_limit_is_tried() -> None:
    assert {call.limit for call in CALLS} == set(policy.LIMITS)


@each_call
def test_what_is_too_much_is_refused_before_anything_is_hashed(
    cast: Cast, call: LimitedCall
) -> None:
    cast.send(call)
    use_up(cast.app, call.limit, leaving=0)
    # A call that hashes fails.
    PASSWORD_HASHER.fill(cast.app, None)
    assert cast.send(call).status_code == 429


@pytest.mark.parametrize("call", [c for c in CALLS if c.limit is policy.REDEEM], ids=str)
def test_a_token_is_checked_before_anything_is_hashed(cast: Cast, call: LimitedCall) -> None:
    PASSWORD_HASHER.fill(cast.app, None)
    assert cast.send(call).status_code == 400


def test_refreshing_and_introspection_carry_no_limit(cast: Cast) -> None:
    refresh = {"refresh_token": cast.alice.tokens["refresh_token"]}
    introspection = {"token": cast.alice.tokens["access_token"]}
    assert rate_limit(cast.alice.client.post("/api/v1/auth/refresh", json=refresh)) == ()
    assert rate_limit(cast.admin.post("/api/v1/auth/introspect", json=introspection)) == ()


def test_a_known_device_is_not_kept_out_by_its_address(cast: Cast) -> None:
    """Strangers behind the same address have used up its tries; the device has its own."""
    body = {"identifier": "alice", "password": PASSWORD}
    assert rate_limit(cast.app.test_client().post(LOGIN, json=body)) == (30, 29, 60)
    use_up(cast.app, policy.SIGN_IN, leaving=0)
    for token in ({}, {"device_token": "no token of ours"}):
        assert cast.app.test_client().post(LOGIN, json=body | token).status_code == 429
    device = {"device_token": cast.alice.tokens["device_token"]}
    known = cast.app.test_client().post(LOGIN, json=body | device)
    assert (known.status_code, rate_limit(known)) == (200, (30, 29, 60))


def test_a_device_of_another_account_is_not_known(cast: Cast) -> None:
    """Nor by its old password; strangers have used the address's tries up."""
    body = {"identifier": "alice", "password": PASSWORD}
    cast.app.test_client().post(LOGIN, json=body)
    use_up(cast.app, policy.SIGN_IN, leaving=0)
    own = {"device_token": cast.alice.tokens["device_token"]}
    other = {"device_token": cast.admin.tokens["device_token"]}
    unknown = {"identifier": "unknown", "password": PASSWORD}
    refused = ((body, other), (unknown, own), ({**body, "identifier": "admin"}, own))
    for called, token in refused:
        answer = cast.app.test_client().post(LOGIN, json=called | token)
        assert_problem(answer, 429, "rate_limited")
    assert cast.app.test_client().post(LOGIN, json=body | own).status_code == 200
    run_sql(cast.app, "UPDATE users SET password_version = password_version + 1")
    assert cast.app.test_client().post(LOGIN, json=body | own).status_code == 429


def test_no_number_of_devices_passes_the_ceiling_of_an_address(
    clock: Clock, app: Flask, cast: Cast
) -> None:
    """Each sign-in makes one more device, and thirty of them would have 900 tries a minute."""
    body = {"identifier": "admin", "password": PASSWORD}
    devices = []
    for _ in range(30):
        answer = app.test_client().post(LOGIN, json=body)
        devices.append({"device_token": answer.get_json()["device_token"]})
    use_up(app, policy.PASSWORDS, leaving=10)
    signed_in = [app.test_client().post(LOGIN, json=body | device) for device in devices]
    assert Counter(answer.status_code for answer in signed_in) == {200: 10, 429: 20}
    assert_problem(signed_in[-1], 429, "rate_limited")
    # Against another account they are a stranger's: the throttle counts its ten, and no more.
    clock.shift(60)
    guess = {"identifier": "alice", "password": WRONG}
    answers = [app.test_client().post(LOGIN, json={**guess, **device}) for device in devices]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 25
    assert_problem(answers[-1], 429, "too_many_attempts")
    right = {"identifier": "alice", "password": PASSWORD}
    own = {"device_token": cast.alice.tokens["device_token"]}
    elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
    victim = app.test_client().post(LOGIN, json=right | own, environ_overrides=elsewhere)
    assert victim.status_code == 200


@pytest.mark.parametrize("path", [FORGOT, RESEND, "/api/v1/auth/register"])
def test_no_answer_reveals_another_clients_request(
    clock: Clock, app: Flask, alice: Caller, path: str
) -> None:
    """Each address is asked for once from here; for one of them another client asked before."""

    def ask(email: str, ip: str) -> TestResponse:
        body = {"email": email} | ({"password": PASSWORD} if path.endswith("register") else {})
        environ = {"REMOTE_ADDR": ip}
        return app.test_client().post(path, json=body, environ_overrides=environ)

    ask("alice@example.com", "198.51.100.7")
    if path == RESEND:
        clock.shift(180)
    told = [
        rate_limit(ask(email, ip))
        for email, ip in (("alice@example.com", "192.0.2.1"), ("new@example.com", "192.0.2.2"))
    ]
    assert told == [(20, 19, 60)] * 2


def forgot(app: Flask, email: str, ip: str = "192.0.2.1", **kwargs: Any) -> TestResponse:
    environ = {"REMOTE_ADDR": ip}
    response: TestResponse = app.test_client().post(
        FORGOT, json={"email": email}, environ_overrides=environ, **kwargs
    )
    return response


@both_databases
def test_a_window_begins_with_its_first_call_and_ends(clock: Clock, app: Flask) -> None:
    assert [forgot(app, "a@example.com").status_code for _ in range(6)] == [202] * 5 + [429]
    clock.shift(timedelta(minutes=59, seconds=58.5))
    refused = forgot(app, "a@example.com")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    clock.shift(timedelta(seconds=1.5))
    assert forgot(app, "a@example.com").status_code == 202


def test_by_email_known_and_unknown_addresses_are_answered_alike(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    def answers(path: str, email: str, ip: str) -> list[Any]:
        responses = [
            app.test_client().post(
                path, json={"email": email}, environ_overrides={"REMOTE_ADDR": ip}
            )
            for _ in range(7)
        ]
        own = {"X-Correlation-ID", "Content-Length"}
        return [
            (r.status_code, sorted((k, v) for k, v in r.headers if k not in own)) for r in responses
        ]

    for path, refused in ((FORGOT, 2), (RESEND, 6)):
        known = answers(path, "alice@example.com", "192.0.2.1")
        assert known == answers(path, "unknown@example.com", "192.0.2.2")
        assert [status for status, _ in known] == [202] * (7 - refused) + [429] * refused


def test_many_accounts_send_one_address_ten_mails_an_hour(clock: Clock, app: Flask) -> None:
    """To which their owners want to change."""
    callers = [register_caller(app, name) for name in ("alice", "bob", "charlie")]
    answers = [
        caller.post("/api/v1/users/me/email", json={"new_email": "Victim@example.org"}).status_code
        for _ in range(4)
        for caller in callers
    ]
    assert answers == [202] * 10 + [429] * 2
    other = callers[1].post("/api/v1/users/me/email", json={"new_email": "b@example.org"})
    assert other.status_code == 202


def test_an_address_counts_in_its_canonical_form(app: Flask) -> None:
    spellings = ("a@example.com", "A@EXAMPLE.COM", " a@example.com ", "A@Example.com")
    assert [forgot(app, email).status_code for email in (*spellings, *spellings)].count(202) == 5


def redeem(app: Flask, ip: str = "192.0.2.1", **headers: str) -> TestResponse:
    """A call that has one limit, by client."""
    response: TestResponse = app.test_client().post(
        "/api/v1/auth/invitation/accept",
        json={**NO_TOKEN, "password": PASSWORD},
        environ_overrides={"REMOTE_ADDR": ip},
        headers=headers,
    )
    return response


@both_databases
def test_of_a_crowd_as_many_are_let_through_as_the_limit_says(app: Flask) -> None:
    """They race to open the window, and the headers report each count once."""
    answers = all_at_once([lambda: redeem(app)] * 30)
    assert Counter(answer.status_code for answer in answers) == {400: 20, 429: 10}
    let_through = [answer for answer in answers if answer.status_code == 400]
    assert sorted(rate_limit(answer)[1] for answer in let_through) == list(range(20))


def test_a_client_is_its_ipv4_address_or_its_ipv6_network(app: Flask) -> None:
    peers = {
        "192.0.2.1": 19,
        "::ffff:192.0.2.1": 18,
        "192.0.2.2": 19,
        "2001:db8::1": 19,
        "2001:db8::ffff:ffff:ffff:ffff": 18,
        "2001:db8:0:1::1": 19,
    }
    assert {ip: rate_limit(redeem(app, ip))[1] for ip in peers} == peers


def test_a_client_cannot_choose_its_address(app: Flask) -> None:
    claims = [f"203.0.113.{n}" for n in range(3)]
    told = [rate_limit(redeem(app, **{"X-Forwarded-For": claim}))[1] for claim in claims]
    assert told == [19, 18, 17]


def test_a_trusted_proxy_names_the_address(make_app: Callable[..., Flask]) -> None:
    app = make_app(ratelimit_enabled=True, trusted_proxies=1)
    claims = ("203.0.113.1", "203.0.113.2", "198.51.100.1, 203.0.113.1")
    told = [rate_limit(redeem(app, **{"X-Forwarded-For": claim}))[1] for claim in claims]
    assert told == [19, 19, 18]


def test_a_missing_address_is_not_counted(app: Flask) -> None:
    assert [rate_limit(redeem(app, ip="")) for _ in range(2)] == [(), ()]
    assert rate_limit(forgot(app, "a@example.com", ip="")) == ()


def test_calls_that_cannot_be_read_are_not_counted(app: Flask) -> None:
    response = app.test_client().post(FORGOT, json={"email": "unknown"})
    assert (response.status_code, rate_limit(response)) == (422, ())
    assert rate_limit(forgot(app, "a@example.com", ip="127.0.0.1")) == (20, 19, 60)


def test_the_answer_describes_the_tightest_limit(clock: Clock, app: Flask) -> None:
    body = {"identifier": "unknown", "password": WRONG}

    def ask() -> tuple[int, ...]:
        return rate_limit(app.test_client().post(LOGIN, json=body))

    assert ask() == (30, 29, 60)
    use_up(app, policy.PASSWORDS, leaving=2)
    assert ask() == (120, 1, 60)


def test_reading_carries_no_limit_and_writes_nothing(cast: Cast) -> None:
    for path in ("users/me", "users/me/sessions", "users/me/events"):
        response = cast.alice.get(f"/api/v1/{path}")
        assert (response.status_code, rate_limit(response)) == (200, ())
    assert counted_keys(cast.app) == []


def test_turned_off_nothing_is_counted_but_failures(make_app: Callable[..., Flask]) -> None:
    app = make_app(ratelimit_enabled=False)
    assert [forgot(app, "a@example.com").status_code for _ in range(7)] == [202] * 7
    assert rate_limit(forgot(app, "a@example.com")) == ()
    body = {"identifier": "unknown", "password": WRONG}
    statuses = [app.test_client().post("/api/v1/auth/login", json=body) for _ in range(6)]
    assert [response.status_code for response in statuses] == [401] * 5 + [429]
    assert all(key.startswith("failures:") for key in counted_keys(app))


def counted_keys(app: Flask) -> list[str]:
    with app.app_context(), transaction() as session:
        return list(session.execute(text("SELECT key FROM rate_counters")).scalars())


def test_no_counter_reveals_the_caller(app: Flask) -> None:
    forgot(app, "alice@example.com")
    keys = counted_keys(app)
    assert len(keys) == 2
    assert not [key for key in keys if "alice" in key or "192.0.2" in key]


def test_an_upgrade_keeps_the_counters(app: Flask) -> None:
    """Releases count under the same keys, so that none gives back the calls of a window."""
    forgot(app, "alice@example.com")
    keys = [re.fullmatch(r"LIMITER/[0-9a-f]{64}/(.+)", key) for key in counted_keys(app)]
    assert sorted(key[1] for key in keys if key) == [
        "forgot_password/20/60/second",
        "forgot_password_of_email/5/3600/second",
    ]


@both_databases
def test_without_their_counters_limits_refuse_no_caller_and_the_throttle_every_caller(
    app: Flask, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    run_sql(app, "ALTER TABLE rate_counters RENAME TO put_aside")
    for _ in range(3):
        response = alice.patch("/api/v1/users/me", json={"display_name": "Alice"})
        assert (response.status_code, rate_limit(response)) == (200, ())
    body = {"identifier": "alice", "password": PASSWORD}
    assert app.test_client().post("/api/v1/auth/login", json=body).status_code == 503
    run_sql(app, "ALTER TABLE put_aside RENAME TO rate_counters")
    assert rate_limit(alice.patch("/api/v1/users/me", json={})) != ()
    told = [r.message for r in caplog.records if r.name == "authserve.ratelimit.counters"]
    assert told == ["ordinary limits are off: no storage", "ordinary limits are on again"]


@on_postgresql
def test_a_database_that_keeps_a_call_waiting_ends_it(app: Flask, alice: Caller) -> None:
    with app.app_context():
        engine = db.engine
    with engine.begin() as other:
        other.execute(text("LOCK TABLE rate_counters"))
        response = alice.patch("/api/v1/users/me", json={"display_name": "Alice"})
    assert_problem(response, 503, "service_unavailable")


def test_guessing_is_throttled_as_ever_without_redis(
    make_app: Callable[..., Flask], redis_server: RedisServer
) -> None:
    redis_server.stop()
    app = make_app(ratelimit_enabled=True, ratelimit_storage_url=redis_server.url)
    body = {"identifier": "unknown", "password": WRONG}
    answers = [app.test_client().post("/api/v1/auth/login", json=body) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert_problem(answers[-1], 429, "too_many_attempts")
    assert not any(map(rate_limit, answers))
