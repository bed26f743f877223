"""POST /auth/register."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserve.app import create_app
from authserve.database.transactions import db, read_all
from authserve.passwords.policy import MAX_LENGTH
from authserve.settings.model import EmailVerification
from authserve.users.models import User
from tests.conftest import make_settings
from tests.support.clients import PASSWORD, login, register
from tests.support.crowd import all_at_once, persistently
from tests.support.hashing import argon2_asked
from tests.support.marks import both_databases, on_postgresql
from tests.support.ports import reserved_port
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail

PATH = "/api/v1/auth/register"


def count_users(app: Flask) -> int:
    with app.app_context():
        return int(read_all(select(func.count(User.id)))[0][0])


def test_it_answers_with_the_account_in_stored_form(
    clock: time_machine.Traveller, client: FlaskClient
) -> None:
    response = client.post(
        PATH,
        json={
            "email": " ALICE@Bücher.example ",
            "username": "Alice",
            "password": PASSWORD,
            "display_name": " Alice Liddell ",
            "locale": "de",
        },
    )
    assert response.status_code == 201
    made = response.get_json()
    assert made == {
        "id": made["id"],
        "email": "alice@xn--bcher-kva.example",
        "email_verified": False,
        "username": "alice",
        "display_name": "Alice Liddell",
        "locale": "de",
        "is_active": True,
        "roles": ["user"],
        "mfa_enabled": False,
        "created_at": "2030-01-01T12:00:00Z",
        "updated_at": "2030-01-01T12:00:00Z",
        "last_login_at": None,
    }
    assert response.headers["Cache-Control"] == "no-store"
    assert login(client, "alice@bücher.example").status_code == 200


def test_an_address_and_a_password_are_enough(client: FlaskClient) -> None:
    body = {"email": "alice@example.com", "password": PASSWORD}
    made = client.post(PATH, json=body).get_json()
    assert (made["username"], made["display_name"]) == (None, None)


@both_databases
def test_a_taken_name_is_reported_in_any_letter_case(app: Flask, client: FlaskClient) -> None:
    register(client, "alice")
    taken = register(client, "alice2", email="ALICE@EXAMPLE.COM")
    assert_problem(taken, 409, "email_taken")
    assert_problem(register(client, "bob", username="ALICE"), 409, "username_taken")
    assert_problem(register(client, "alice"), 409, "email_taken")
    assert count_users(app) == 1
    assert len(audit_trail(app, "user.registered")) == 1


@both_databases
def test_twenty_concurrent_registrations_of_one_address_make_one_account(app: Flask) -> None:
    def call(number: int) -> TestResponse:
        email = "alice@example.com" if number % 2 else "Alice@EXAMPLE.com"
        client, name = app.test_client(), f"alice{number}"
        return persistently(lambda: register(client, name, email=email))

    answers = all_at_once([lambda n=n: call(n) for n in range(20)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "email_taken")
    assert count_users(app) == len(audit_trail(app, "user.registered")) == 1


@both_databases
def test_twenty_concurrent_registrations_of_one_username_make_one_account(app: Flask) -> None:
    def call(number: int) -> TestResponse:
        client, username = app.test_client(), "alice" if number % 2 else "ALICE"
        return persistently(lambda: register(client, f"alice{number}", username=username))

    answers = all_at_once([lambda n=n: call(n) for n in range(20)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    assert count_users(app) == 1


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"email": None}, "email"),
    ({"email": ""}, "email"),
    ({"email": "alice"}, "email"),
    ({"email": "alice@localhost"}, "email"),
    ({"email": "alice@[127.0.0.1]"}, "email"),
    ({"email": f"{'a' * 65}@example.com"}, "email"),
    ({"email": ["alice@example.com"]}, "email"),
    ({"username": "al"}, "username"),
    ({"username": "alice@example.com"}, "username"),
    ({"username": None}, "username"),
    ({"display_name": "\x1b[31m"}, "display_name"),
    ({"password": None}, "password"),
    ({"password": ""}, "password"),
    ({"password": "short"}, "password"),
    ({"password": "password1"}, "password"),
    ({"password": "alice@example.com"}, "password"),
    ({"password": "a" * (MAX_LENGTH + 1)}, "password"),
    ({"password": 12345678901234567}, "password"),
    ({"roles": ["admin"]}, "roles"),
    ({"is_active": True}, "is_active"),
    ({"email_verified": True}, "email_verified"),
]


def test_unacceptable_fields_are_reported_and_create_no_account(
    app: Flask, client: FlaskClient
) -> None:
    for changes, field in FAULTS:
        problem = assert_problem(register(client, "alice", **changes), 422, "validation_failed")
        assert list(problem["errors"]) == [field], changes
    missing = assert_problem(client.post(PATH, json={}), 422, "validation_failed")
    assert sorted(missing["errors"]) == ["email", "password"]
    assert count_users(app) == 0


@pytest.mark.parametrize("name", ["email", "username", "display_name"])
def test_no_own_name_is_a_password(client: FlaskClient, name: str) -> None:
    names = {
        "email": "alice.liddell@example.com",
        "username": "alice_in_wonder",
        "display_name": "Wilhelmina Carroll",
    }
    body = {**names, "password": names[name]}
    problem = assert_problem(client.post(PATH, json=body), 422, "validation_failed")
    assert list(problem["errors"]) == ["password"]


def test_the_host_of_the_service_is_no_password(make_app: Callable[..., Flask]) -> None:
    client = make_app(public_url="https://login.wonderland.example:8443").test_client()
    for own in ("login.wonderland.example", "Login.Wonderland.Example", "Wonderland26!"):
        problem = assert_problem(register(client, "alice", password=own), 422, "validation_failed")
        assert list(problem["errors"]) == ["password"]
    for other in ("login.wonderland.exampl", "Underland26!"):
        assert register(client, other[:5].lower(), password=other).status_code == 201


ACCEPTABLE = ("longer than fifteen", "Tr0ub4do", "p" + "ä" * 7 + "B1")


def test_an_acceptable_password_signs_in_as_it_was_sent(client: FlaskClient) -> None:
    for number, password in enumerate(ACCEPTABLE):
        name = f"alice{number}"
        assert register(client, name, password=password).status_code == 201
        assert login(client, name, password).status_code == 200
        assert login(client, name, password.upper()).status_code == 401
        assert login(client, name, f"{password} ").status_code == 401


def test_a_request_that_cannot_be_read_is_refused(client: FlaskClient) -> None:
    for data in (b"{", b"[]", b"null", b'{"email": NaN}', b'{"email": "\\u0000"}'):
        refused = client.post(PATH, data=data, content_type="application/json")
        assert_problem(refused, 400, "malformed_request")
    assert_problem(client.post(PATH), 400, "malformed_request")
    form = client.post(PATH, data={"email": "alice@example.com", "password": PASSWORD})
    assert_problem(form, 415, "unsupported_media_type")
    assert_problem(client.get(PATH), 405, "method_not_allowed")


def test_it_stores_a_hash_and_no_password(app: Flask, client: FlaskClient) -> None:
    register(client, "alice")
    with app.app_context():
        (row,) = read_all(select(User.__table__))
    assert row.password_hash.startswith("$argon2id$")
    assert PASSWORD not in str(row)


def test_while_addresses_must_be_verified_known_ones_are_answered_like_others(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(email_verification=EmailVerification.REQUIRED)
    client = app.test_client()
    body = {"email": "alice@example.com", "password": PASSWORD}
    answers = [client.post(PATH, json=body) for _ in range(2)]
    assert [(answer.status_code, answer.get_json()) for answer in answers] == [(202, {})] * 2
    assert count_users(app) == 1
    named = client.post(PATH, json={**body, "username": "alice"})
    problem = assert_problem(named, 422, "validation_failed")
    assert list(problem["errors"]) == ["username"]


def test_a_taken_name_is_reported_before_anything_is_hashed(app: Flask) -> None:
    register(app.test_client(), "alice")
    for body in (
        {"email": "alice@example.com", "username": "other"},
        {"email": "other@example.com", "username": "alice"},
        {"email": "alice@example.com", "username": "alice"},
    ):
        with argon2_asked() as asked:
            response = app.test_client().post(PATH, json={**body, "password": PASSWORD})
        assert response.status_code == 409
        assert asked == ([], [])


@on_postgresql
def test_with_the_database_away_nothing_is_hashed(database_url: str, tmp_path: Path) -> None:
    body = {"email": "alice@example.com", "password": PASSWORD}
    with reserved_port() as port:
        app = create_app(make_settings(f"postgresql+psycopg2://a:b@127.0.0.1:{port}/c", tmp_path))
        for _ in range(5):
            with argon2_asked() as asked:
                assert_problem(app.test_client().post(PATH, json=body), 503, "service_unavailable")
            assert asked == ([], [])
        with app.app_context():
            db.engine.dispose()
