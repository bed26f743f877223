"""A username that was given up is held for its former owner."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserve.database.transactions import read_all
from authserve.ratelimit.errors import RateLimitedError
from authserve.users.models import ReleasedUsername
from authserve.users.released_usernames import purge_released_usernames, require_may_rename
from tests.support.clients import PASSWORD, Caller, register, register_caller
from tests.support.crowd import all_at_once, persistently
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases, on_sqlite
from tests.support.problems import assert_problem

pytestmark = both_databases

ME = "/api/v1/users/me"


def rename(caller: Caller, name: str | None) -> TestResponse:
    return caller.patch(ME, json={"username": name})


def count_held(app: Flask) -> int:
    with app.app_context():
        return int(read_all(select(func.count(ReleasedUsername.id)))[0][0])


def test_no_way_leads_to_a_name_that_is_held_for_another_account(
    app: Flask, alice: Caller, admin: Caller, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    mailbox = open_mailbox(app)
    assert rename(alice, "alicia").status_code == 200
    bob = register_caller(app, "bob")
    taken = (409, "username_taken")

    assert_problem(register(app.test_client(), "eve", username="alice"), *taken)
    assert_problem(rename(bob, "Alice"), *taken)
    assert_problem(admin.patch(f"/api/v1/users/{bob.id}", json={"username": "alice"}), *taken)
    body = {"email": "eve@example.com", "username": "alice"}
    assert_problem(admin.post("/api/v1/users", json=body), *taken)
    assert admin.post("/api/v1/users", json={"email": "eve@example.com"}).status_code == 201
    work(app)
    token = mailbox.to("eve@example.com")[0].token
    accepting = {"token": token, "password": PASSWORD, "username": "alice"}
    accept = "/api/v1/auth/invitation/accept"
    assert_problem(app.test_client().post(accept, json=accepting), *taken)

    seeded = tmp_path / "seed.json"
    seeded.write_text('[{"email": "fay@example.com", "username": "alice"}]')
    assert runner.invoke(args=["users", "seed", str(seeded)]).exit_code != 0
    imported = tmp_path / "in.ndjson"
    imported.write_text(
        '{"email": "fay@example.com", "username": "alice"}\n{"email": "gil@example.com"}\n'
    )
    result = runner.invoke(args=["users", "import", str(imported)])
    assert "1 made, 0 there already, 1 refused" in result.stdout + result.stderr
    dry = runner.invoke(args=["users", "import", str(imported), "--dry-run"])
    assert "1 refused" in dry.stdout + dry.stderr
    imported.write_text('{"email": "gil@example.com", "username": "alice"}\n')
    filled = runner.invoke(args=["users", "import", str(imported), "--update"])
    assert "1 refused" in filled.stdout + filled.stderr
    made = runner.invoke(args=["users", "create", "fay@example.com", "--username", "alice"])
    assert made.exit_code != 0

    assert bob.get(ME).json["username"] == "bob"
    assert app.test_client().post(accept, json={**accepting, "username": "eve"}).status_code == 200
    assert rename(alice, "alice").status_code == 200


def test_it_is_free_after_the_hold(app: Flask, clock: time_machine.Traveller) -> None:
    alice = register_caller(app, "alice")
    rename(alice, None)
    clock.shift(timedelta(days=365) - timedelta(seconds=1))
    assert_problem(register(app.test_client(), "eve", username="alice"), 409, "username_taken")
    clock.shift(timedelta(seconds=1))
    assert register(app.test_client(), "eve", username="alice").status_code == 201


@on_sqlite
def test_without_a_hold_it_is_free_at_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(username_hold=timedelta(0))
    alice = register_caller(app, "alice")
    for name in ("a1a", "a2a", "a3a", "a4a", "a5a", "a6a", "a7a"):
        assert rename(alice, name).status_code == 200
    assert register(app.test_client(), "eve", username="alice").status_code == 201
    assert count_held(app) == 0


def test_the_name_of_a_deleted_account_is_held_without_an_owner(app: Flask, alice: Caller) -> None:
    rename(alice, "alicia")
    assert alice.delete(ME).status_code == 204
    for name in ("alice", "alicia"):
        assert_problem(register(app.test_client(), "eve", username=name), 409, "username_taken")
    with app.app_context():
        rows = read_all(select(ReleasedUsername.user_id, ReleasedUsername.digest))
    assert [row.user_id for row in rows] == [None, None]
    assert all(len(row.digest) == 32 for row in rows)


def test_an_owner_gives_up_five_a_day(app: Flask, clock: time_machine.Traveller) -> None:
    alice = register_caller(app, "alice")
    for number in range(5):
        assert rename(alice, f"alice{number}").status_code == 200
        clock.shift(timedelta(seconds=60))
    refused = rename(alice, "alice5")
    assert_problem(refused, 429, "rate_limited")
    assert int(refused.headers["Retry-After"]) == 24 * 3600 - 300 + 1
    assert alice.patch(ME, json={"display_name": "Alice"}).status_code == 200
    assert alice.get(ME).json["username"] == "alice4"
    with app.app_context():
        clock.shift(timedelta(days=1) - timedelta(seconds=300, microseconds=1))
        with pytest.raises(RateLimitedError):
            require_may_rename(alice.id)
        clock.shift(timedelta(microseconds=1))
        require_may_rename(alice.id)


def test_five_are_held_for_an_account_the_oldest_is_let_go(
    app: Flask, clock: time_machine.Traveller, admin: Caller
) -> None:
    alice = register_caller(app, "alice")
    for number in range(6):
        body = {"username": f"alice{number}"}
        clock.shift(timedelta(seconds=1))
        assert admin.patch(f"/api/v1/users/{alice.id}", json=body).status_code == 200
    assert count_held(app) == 5
    assert register(app.test_client(), "eve", username="alice").status_code == 201
    assert_problem(register(app.test_client(), "fay", username="alice0"), 409, "username_taken")


def test_of_twenty_requests_for_a_name_being_released_none_gets_it(
    app: Flask, alice: Caller
) -> None:
    def take(number: int) -> TestResponse:
        client = app.test_client()
        return persistently(lambda: register(client, f"eve{number}", username="alice"))

    def give_up() -> TestResponse:
        return persistently(lambda: rename(alice, "alicia"))

    answers = all_at_once([give_up, *(lambda n=n: take(n) for n in range(19))])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}


def test_the_worker_clears_away_what_is_held_no_more(
    app: Flask, clock: time_machine.Traveller
) -> None:
    rename(register_caller(app, "alice"), "alicia")
    clock.shift(timedelta(days=200))
    rename(register_caller(app, "bob"), "bobby")
    clock.shift(timedelta(days=165))
    with app.app_context():
        assert sum(purge_released_usernames()) == 1
        assert sum(purge_released_usernames()) == 0
    assert count_held(app) == 1
