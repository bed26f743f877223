"""The first administrator: one link, one account."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import time_machine
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserve.auth.models import FirstLink
from authserve.database.transactions import read_all
from authserve.settings.model import EmailVerification, Registration
from authserve.users.models import User
from tests.support.clients import PASSWORD, login, register, sign_in
from tests.support.crowd import all_at_once, persistently
from tests.support.hashing import argon2_asked
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail

PATH = "/api/v1/auth/first-administrator"


def make_link(runner: FlaskCliRunner) -> str:
    result = runner.invoke(args=["users", "first-link"])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def make_token(runner: FlaskCliRunner) -> str:
    return make_link(runner).partition("#")[2]


def post(client: FlaskClient, token: str, **changes: object) -> TestResponse:
    body = {"token": token, "email": "Root@example.com", "password": PASSWORD, **changes}
    return client.post(PATH, json=body)


def count_users(app: Flask) -> int:
    with app.app_context():
        return int(read_all(select(func.count(User.id)))[0][0])


def test_it_is_made_with_a_proven_address_and_every_permission(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner
) -> None:
    link = make_link(runner)
    assert link.startswith("http://")
    assert "/first-administrator#" in link
    made = post(client, link.partition("#")[2])
    assert made.status_code == 201
    user = made.get_json()
    assert (user["email"], user["email_verified"]) == ("root@example.com", True)
    assert user["roles"] == ["admin", "user"]
    root = sign_in(client, "root@example.com", user=user)
    assert root.get("/api/v1/audit-events").status_code == 200
    (event,) = audit_trail(app, "user.created")
    assert event["details"] == {"roles": ["admin", "user"]}


def test_what_the_database_holds_is_no_token(app: Flask, runner: FlaskCliRunner) -> None:
    token = make_token(runner)
    with app.app_context():
        (row,) = read_all(select(FirstLink.__table__))
    assert len(row.digest) == 32
    assert token.encode() not in row.digest


def test_a_second_link_and_a_use_and_a_day_end_a_link(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner, clock: time_machine.Traveller
) -> None:
    first, second = make_token(runner), make_token(runner)
    for dead in (first, "A" * 64, second[:-1]):
        assert_problem(post(client, dead), 404, "not_found")
    clock.shift(timedelta(hours=24))
    assert_problem(post(client, second), 404, "not_found")
    third = make_token(runner)
    clock.shift(timedelta(hours=24) - timedelta(seconds=1))
    assert post(client, third).status_code == 201
    assert_problem(post(client, third, email="b@example.com"), 404, "not_found")
    assert count_users(app) == 1


@both_databases
def test_where_there_is_an_account_there_is_no_link_and_no_use_of_one(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner
) -> None:
    token = make_token(runner)
    register(client, "alice")
    with argon2_asked() as asked:
        assert_problem(post(client, token), 404, "not_found")
    assert asked == ([], [])
    refused = runner.invoke(args=["users", "first-link"])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "flask users grant NAME admin" in refused.stderr
    quiet = runner.invoke(args=["users", "first-link", "--if-empty"])
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert count_users(app) == 1


def test_a_refused_password_leaves_the_link_good(
    client: FlaskClient, runner: FlaskCliRunner
) -> None:
    token = make_token(runner)
    for password in ("password1", "root@example.com"):
        problem = assert_problem(post(client, token, password=password), 422, "validation_failed")
        assert list(problem["errors"]) == ["password"]
    assert post(client, token).status_code == 201


def test_rules_for_visitors_do_not_bind_it(make_app: Callable[..., Flask]) -> None:
    app = make_app(
        registration=Registration.CLOSED,
        registration_domains=("example.org",),
        email_verification=EmailVerification.REQUIRED,
    )
    token = make_token(app.test_cli_runner(capture="fd"))
    assert post(app.test_client(), token).status_code == 201
    assert login(app.test_client(), "root@example.com").status_code == 200


@both_databases
def test_twenty_concurrent_callers_make_one_administrator(
    app: Flask, runner: FlaskCliRunner
) -> None:
    token = make_token(runner)

    def call(number: int) -> TestResponse:
        client = app.test_client()
        return persistently(lambda: post(client, token, email=f"root{number}@example.com"))

    answers = all_at_once([lambda n=n: call(n) for n in range(20)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 404: 19}
    assert count_users(app) == len(audit_trail(app, "user.created")) == 1


@both_databases
def test_beside_others_who_register_it_is_made_or_not_at_all(
    app: Flask, runner: FlaskCliRunner
) -> None:
    token = make_token(runner)

    def ask() -> TestResponse:
        return persistently(lambda: post(app.test_client(), token))

    def sign_up(number: int) -> TestResponse:
        return persistently(lambda: register(app.test_client(), f"alice{number}"))

    made, *others = all_at_once([ask, *(lambda n=n: sign_up(n) for n in range(9))])
    assert {other.status_code for other in others} == {201}
    assert made.status_code in (201, 404)
    assert count_users(app) == 9 + (made.status_code == 201)
    assert_problem(post(app.test_client(), token, email="b@example.com"), 404, "not_found")
