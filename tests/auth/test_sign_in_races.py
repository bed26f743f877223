"""Changes to an account while its password is being checked."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from passlib.hash import argon2, bcrypt
from sqlalchemy import select, update

from authserve.core.actor import VISITOR, Actor, RequestInfo
from authserve.database.transactions import read_all, transaction
from authserve.passwords.hasher import PASSWORD_HASHER, Verification
from authserve.ratelimit.models import RateCounter
from authserve.users.accounts import deactivate, delete_user, ref_of
from authserve.users.lookup import get_user
from authserve.users.models import User
from authserve.users.password_changes import change_password
from tests.support.clients import PASSWORD, Caller, login
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions, live_session_row
from tests.support.tokens import claims_of

pytestmark = both_databases

OTHER_PASSWORD = "another horse, another staple"

REQUEST = RequestInfo()

Meanwhile = Callable[[Callable[[], object]], None]


@pytest.fixture
def meanwhile(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Call a function once, right after the next check of a password."""
    hasher = PASSWORD_HASHER.of(app)
    verify = hasher.verify

    def arrange(happen: Callable[[], object]) -> None:
        def verify_and_let_it_happen(*args: object, **kwargs: object) -> Verification:
            monkeypatch.setattr(hasher, "verify", verify)
            verification: Verification = verify(*args, **kwargs)
            happen()
            return verification

        monkeypatch.setattr(hasher, "verify", verify_and_let_it_happen)

    return arrange


def test_a_deactivation_meanwhile_starts_no_session(
    app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: deactivate(alice.id, actor=VISITOR, request=REQUEST))
    assert_problem(login(app.test_client(), "alice"), 403, "account_disabled")
    assert count_sessions(app, revoked_at=None) == 0
    (failure,) = audit_trail(app, "session.sign_in_failed")
    assert failure["details"] == {"reason": "account_disabled"}


def test_a_new_password_meanwhile_starts_no_session(
    app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    def replace() -> None:
        user = ref_of(get_user(alice.id))
        change_password(
            user,
            current_password=PASSWORD,
            new_password=OTHER_PASSWORD,
            actor=Actor(user=user, session_id=alice.session_id),
            request=REQUEST,
        )

    meanwhile(replace)
    assert_problem(login(app.test_client(), "alice"), 401, "invalid_credentials")
    assert count_sessions(app, revoked_at=None) == 1
    (failure,) = audit_trail(app, "session.sign_in_failed")
    assert failure["details"] == {"reason": "wrong_password"}
    assert login(app.test_client(), "alice", OTHER_PASSWORD).status_code == 200


def test_a_deletion_meanwhile_starts_no_session(
    app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: delete_user(ref_of(get_user(alice.id)), actor=VISITOR, request=REQUEST))
    assert_problem(login(app.test_client(), "alice"), 401, "invalid_credentials")
    assert count_sessions(app) == 0


def guess(app: Flask, times: int) -> None:
    for _ in range(times):
        assert_problem(login(app.test_client(), "alice", "wrong"), 401, "invalid_credentials")


def test_guesses_meanwhile_that_begin_a_block_refuse_the_right_password_too(
    app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: guess(app, 5))
    assert_problem(login(app.test_client(), "alice"), 429, "too_many_attempts")
    assert count_sessions(app) == 1
    assert counted(app) == [5, 5]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_few_guesses_refuse_no_right_password_and_stay_counted(
    app: Flask, alice: Caller, meanwhile: Meanwhile, when: str
) -> None:
    if when == "before":
        guess(app, 4)
    else:
        meanwhile(lambda: guess(app, 4))
    assert login(app.test_client(), "alice").status_code == 200
    # By identifier and by address: time alone clears what strangers share.
    assert counted(app) == [4, 4]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_few_guesses_of_a_device_are_forgotten_by_the_right_password(
    app: Flask, alice: Caller, meanwhile: Meanwhile, when: str
) -> None:
    device = alice.tokens["device_token"]

    def sign_in(password: str) -> int:
        body = {"identifier": "alice", "password": password, "device_token": device}
        return app.test_client().post("/api/v1/auth/login", json=body).status_code

    def guess_on_it() -> None:
        assert [sign_in("wrong") for _ in range(4)] == [401] * 4

    if when == "before":
        guess_on_it()
    else:
        meanwhile(guess_on_it)
    assert sign_in(PASSWORD) == 200
    assert counted(app) == []


def counted(app: Flask) -> list[int]:
    """Return the hits of every counter of the login throttle."""
    with app.app_context():
        return [row.hits for row in read_all(select(RateCounter.hits).order_by(RateCounter.key))]


def test_a_refused_sign_in_moves_no_last_login(
    clock: time_machine.Traveller, app: Flask, alice: Caller, meanwhile: Meanwhile
) -> None:
    with app.app_context():
        before = get_user(alice.id).last_login_at
    clock.shift(60)
    login(app.test_client(), "alice", "wrong")
    meanwhile(lambda: deactivate(alice.id, actor=VISITOR, request=REQUEST))
    login(app.test_client(), "alice")
    with app.app_context():
        assert get_user(alice.id).last_login_at == before


def test_a_sign_in_moves_the_last_login_and_nothing_else_of_the_account(
    clock: time_machine.Traveller, app: Flask, alice: Caller
) -> None:
    before = alice.get("/api/v1/users/me").get_json()
    clock.shift(60)
    assert login(app.test_client(), "alice").status_code == 200
    after = alice.get("/api/v1/users/me").get_json()
    assert after == {**before, "last_login_at": "2030-01-01T12:01:00Z"}


OLDER = {
    "Argon2 of a lower cost": argon2.using(memory_cost=8, time_cost=2, parallelism=1),
    "Argon2 of a higher cost": argon2.using(memory_cost=64, time_cost=1, parallelism=2),
    "bcrypt": bcrypt.using(rounds=4),
}


@pytest.mark.parametrize("kind", OLDER)
def test_the_right_password_replaces_an_older_hash_and_a_wrong_one_does_not(
    app: Flask, alice: Caller, kind: str
) -> None:
    older = OLDER[kind].hash(PASSWORD)
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(password_hash=older))

    def stored() -> tuple[str, int]:
        with app.app_context():
            ((password_hash, version),) = read_all(
                select(User.password_hash, User.password_version)
            )
        return password_hash, version

    login(app.test_client(), "alice", "wrong")
    assert stored() == (older, 0)
    assert login(app.test_client(), "alice").status_code == 200
    replaced = stored()
    assert replaced[0].startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert replaced[1] == 0
    assert login(app.test_client(), "alice").status_code == 200
    assert stored() == replaced
    assert alice.get("/api/v1/users/me").status_code == 200


def test_an_access_token_ends_with_its_session_not_after_it(
    clock: time_machine.Traveller, make_app: Callable[..., Flask], app: Flask, alice: Caller
) -> None:
    clock.shift(0.9)
    short = make_app(session_ttl=timedelta(seconds=90.5), refresh_idle_ttl=timedelta(seconds=90))
    tokens = login(short.test_client(), "alice").get_json()
    end = live_session_row(app, tokens["session_id"])["expires_at"]
    claims = claims_of(tokens["access_token"])
    # Whole seconds, rounded down.
    assert end.timestamp() - 2 < claims["exp"] <= end.timestamp()
    assert tokens["expires_in"] == claims["exp"] - claims["iat"] <= 90.5
    assert tokens["refresh_expires_in"] == 90
